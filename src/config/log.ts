/** `log`: how much is said, in which form, and what of it is published below `$SYS`. */
import * as v from 'valibot'
import type { LogConfig } from './schema.ts'
import { map } from './structure.ts'
import { choice, type Schema } from './values.ts'

export function log(): Schema<LogConfig> {
  return map(
    {
      level: v.optional(choice(['debug', 'info', 'warn', 'error']), 'info'),
      format: v.optional(choice(['auto', 'json', 'text']), 'auto'),
      topics: v.exactOptional(choice(['info', 'warn', 'error'])),
    },
    { example: 'level: info' },
  )
}
