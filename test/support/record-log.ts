import type { Log, LogLevel } from '../../src/kernel/log.ts'

export interface LogLine {
  level: LogLevel
  message: string
  fields: Record<string, unknown>
}

/** A log that a test can read. Children write into the same lines. */
export function recordLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = []
  const at = (bound: object): Log => {
    const write = (level: LogLevel) => (fields: object, message: string) =>
      void lines.push({ level, message, fields: { ...bound, ...fields } })
    return {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
      child: fields => at({ ...bound, ...fields }),
    }
  }
  return { log: at({}), lines }
}
