/** Looks at the imports of a source tree with the rules of .dependency-cruiser.mjs. */
import { cruise, type IConfiguration, type ICruiseResult } from 'dependency-cruiser'

/** An import that a rule forbids. */
export interface ForbiddenImport {
  readonly rule: string
  readonly from: string
  readonly to: string
}

export interface Cruise {
  /** How many modules were looked at. None at all is a broken set-up, not a clean tree. */
  readonly modules: number
  readonly forbidden: readonly ForbiddenImport[]
}

/** The imports of src, operators and sinks below a folder. */
export async function cruiseTree(baseDir: string): Promise<Cruise> {
  const configFile: string = new URL('../../.dependency-cruiser.mjs', import.meta.url).href
  const { default: config } = (await import(configFile)) as { default: IConfiguration }
  const options = { ...config.options, baseDir, ruleSet: config, validate: true }
  const { output } = await cruise(['src', 'operators', 'sinks'], options)
  const { modules, summary } = output as ICruiseResult
  return {
    modules: modules.filter(({ source }) => /^(src|operators|sinks)\//.test(source)).length,
    forbidden: summary.violations.map(({ rule, from, to }) => ({ rule: rule.name, from, to })),
  }
}
