/** `devices[].file`: a file of the kernel with a number in it. */
import * as v from 'valibot'
import { map } from '../structure.ts'
import { duration, type Schema, text } from '../values.ts'

const DAY = 86_400_000

/** Characters of a regular expression: longer ones are programs. */
const MAX_PATTERN = 500

export interface FileConfig {
  /** Absolute. */
  path: string
  /** ms between two readings. */
  every: number
  /** Regular expression whose first group is the value; undefined takes the first number in the file. */
  pattern: string | undefined
}

export function file(): Schema<FileConfig> {
  const entries = {
    path: text({ example: '/sys/bus/w1/devices/28-0123456789ab/temperature' }),
    every: v.optional(duration({ min: 100, max: DAY, example: '30s' }), '30s'),
    pattern: v.optional(text({ example: "'t=(-?\\d+)'", max: MAX_PATTERN, fault: patternFault })),
  }
  return v.pipe(
    map(entries, { example: 'path: /sys/class/thermal/thermal_zone0/temp' }),
    v.transform(({ pattern, ...rest }) => ({ ...rest, pattern })),
  )
}

function patternFault(pattern: string): string | undefined {
  let groups: number
  try {
    // With an empty alternative it matches anything, and tells how many groups there are.
    groups = new RegExp(`${pattern}|`).exec('')!.length - 1
  } catch (error) {
    return `is not a regular expression: ${(error as Error).message.replace(/^.*: /s, '')}`
  }
  return groups === 1
    ? undefined
    : `must have one group in ( ) around the number, such as 't=(-?\\d+)'; found ${groups}`
}
