/** `devices[].system`: the gateway's own health. */
import * as v from 'valibot'
import { map } from '../structure.ts'
import { duration, text } from '../values.ts'

const DAY = 86_400_000

export interface SystemConfig {
  /** ms between two readings. */
  every: number
  /** Absolute path; the disk it lies on is measured. */
  disk: string
}

export function system() {
  return map(
    {
      every: v.optional(duration({ min: 100, max: DAY, example: '10s' }), '10s'),
      disk: v.exactOptional(text({ example: '/' })),
    },
    { example: 'every: 10s' },
  )
}
