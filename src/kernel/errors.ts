/**
 * The error catalogue. Every fault that an owner may meet has a code that can be searched for, a
 * sentence that says what is wrong and where, and (where there is one) a sentence that says what to do.
 */

/** Codes are stable: they stand in logs and documentation, so they are never renamed or reused. */
export const ERROR_CODES = {
  CONFIG_INVALID: 'The configuration has faults',
  CONFIG_UNREADABLE: 'The configuration file cannot be read',
  LISTEN_IN_USE: 'The address of a listener is in use',
  LISTEN_DENIED: 'The address of a listener may not be used',
  LISTEN_FAILED: 'A listener cannot be opened',
  CERTIFICATE_INVALID: 'A certificate, a key or another file of TLS cannot be used',
  DATA_DIR_UNUSABLE: 'The data directory cannot be used',
  STORE_LOCKED: 'The store is in use by another process',
  STORE_FAILED: 'The store cannot be opened',
  STORE_FULL: 'The store has no room',
  STORE_EXISTS: 'There is a store already',
  ARCHIVE_INVALID: 'An exported store cannot be used',
  RESTORE_FAILED: 'A backup cannot be restored',
  UPDATE_FAILED: 'A newer version cannot be found or put in',
  DEVICE_FAILED: 'A device cannot be used',
  DRIVER_MISSING: 'A driver is not installed',
  BRIDGE_FAILED: 'A bridge cannot connect',
  NOT_RUNNING: 'No gateway is running',
} as const

export type ErrorCode = keyof typeof ERROR_CODES

/** An error with a catalogue code. `message` says what and where; `hint` says what to do about it. */
export class LarderError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'LarderError'
    this.code = code
    this.hint = options.hint
  }

  /** One line for a person: `CODE: what. What to do.` */
  toLine(): string {
    return `${this.code}: ${this.message}${this.hint === undefined ? '' : ` ${this.hint}`}`
  }
}

/** The message of anything that was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The `code` of a system error (`ENOENT`, `EADDRINUSE`, …), or undefined. */
export function systemCodeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : undefined
}
