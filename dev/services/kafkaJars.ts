/** What a real Kafka needs on this machine: Java, and the jars that pom.xml pins. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { lastLines, run } from './run.ts'
import { ServiceError } from './serviceError.ts'

const projectFolder = fileURLToPath(new URL('../../', import.meta.url))
const oldestJava = 17

/** Whether a real Kafka can be started here, and if not, why and what to do, in one sentence. */
export type KafkaAvailability =
  | { readonly available: true; readonly java: string }
  | { readonly available: false; readonly reason: ServiceError }

/** Looks for Java 17 or newer and, as long as the jars have not been copied yet, for Maven. */
export async function kafkaAvailability(): Promise<KafkaAvailability> {
  const java = process.env.JAVA_HOME === undefined ? 'java' : join(process.env.JAVA_HOME, 'bin', 'java')
  const { code, output } = await run(java, ['-version'])
  if (code !== 0)
    return missing(
      'java-missing',
      `Java ${oldestJava} or newer is needed for a real Kafka, and "${java}" cannot be run`,
    )
  const version = Number(/version "(\d+)/.exec(output)?.[1])
  if (!(version >= oldestJava)) {
    return missing(
      'java-missing',
      `Java ${oldestJava} or newer is needed for a real Kafka, and "${java}" is version ${version}`,
    )
  }
  if (!existsSync(await jarFolder()) && (await run('mvn', ['--version'])).code !== 0) {
    return missing('maven-missing', 'Maven is needed to fetch Kafka, and "mvn" cannot be run')
  }
  return { available: true, java }
}

function missing(code: 'java-missing' | 'maven-missing', what: string): KafkaAvailability {
  return {
    available: false,
    reason: new ServiceError(code, `${what}: install it, or set KAFKA_BROKERS to a Kafka that already runs.`),
  }
}

/** The class path with Kafka and all that it needs; the jars are fetched once and kept in .cache/. */
export async function kafkaClassPath(): Promise<string> {
  const folder = await jarFolder()
  if (!existsSync(folder)) await fetchJars(folder)
  return join(folder, '*')
}

async function jarFolder(): Promise<string> {
  const pom = await readFile(join(projectFolder, 'pom.xml'))
  return join(projectFolder, '.cache', `kafka-${createHash('sha256').update(pom).digest('hex').slice(0, 12)}`)
}

async function fetchJars(folder: string): Promise<void> {
  // Into a folder of our own and renamed: two processes may do this at once, and a cut-off copy must not look complete.
  const fresh = `${folder}.${process.pid}`
  await mkdir(fresh, { recursive: true })
  const args = ['-B', '-q', '-f', join(projectFolder, 'pom.xml'), 'dependency:copy-dependencies']
  const { code, output } = await run('mvn', [...args, '-DincludeScope=runtime', `-DoutputDirectory=${fresh}`])
  if (code !== 0) {
    await rm(fresh, { recursive: true, force: true })
    throw new ServiceError(
      'jars-unavailable',
      `Maven could not fetch Kafka's jars; check the connection to Maven Central (or its mirror in ~/.m2/settings.xml):\n${lastLines(output, 8)}`,
    )
  }
  await rename(fresh, folder).catch(async (error: unknown) => {
    await rm(fresh, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  })
}
