/** What can keep a development service from starting. Every message is one sentence that names the way out. */

export type ServiceErrorCode =
  | 'java-missing'
  | 'maven-missing'
  | 'openssl-missing'
  | 'jars-unavailable'
  | 'postgres-missing'
  | 'no-free-port'
  | 'no-disk'
  | 'start-failed'

/** A development service cannot run here. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError'
  readonly code: ServiceErrorCode

  constructor(code: ServiceErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}
