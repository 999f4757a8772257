/**
 * The log port, and its one implementation through `pino`: one line an event, on stderr (stdout
 * belongs to the line that says the gateway is ready). JSON by default, readable text on a terminal.
 */
import { pino } from 'pino'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
export type LogFormat = 'auto' | 'json' | 'text'

export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  /** A log whose every line carries `fields`. */
  child(fields: object): Log
}

/** Builds the gateway's log on stderr. */
export function createLog(options: { level: LogLevel; format: LogFormat }): Log {
  const text = options.format === 'text' || (options.format === 'auto' && process.stderr.isTTY === true)
  const destination = { write: (line: string) => void process.stderr.write(text ? toText(line) : line) }
  return pino({ level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination)
}

/** A log that says nothing: for parts that run inside somebody else's program. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
}

const LEVEL_NAMES: Record<number, string> = { 20: 'debug', 30: 'info ', 40: 'WARN ', 50: 'ERROR', 60: 'FATAL' }

function toText(line: string): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as Record<string, unknown>
  const rest = Object.entries(fields).map(([key, value]) => {
    const shown = typeof value === 'object' && value !== null && 'message' in value ? value.message : value
    return ` ${key}=${typeof shown === 'string' ? shown : JSON.stringify(shown)}`
  })
  return `${String(time).slice(11, 23)} ${LEVEL_NAMES[Number(level)] ?? level} ${msg}${rest.join('')}\n`
}
