/** `devices[].gpio`: one of the board's pins. */
import * as v from 'valibot'
import { map, type Report } from '../structure.ts'
import { choice, duration, flag, type Schema, whole } from '../values.ts'

export interface GpioConfig {
  /** BCM number, 0 to 53. */
  pin: number
  direction: 'in' | 'out'
  activeLow: boolean
  /** Inputs: ms that a level must stand before it counts. */
  debounce: number
  /** Outputs: level to set when opened; undefined keeps the one it has. */
  initial: boolean | undefined
  driver: 'auto' | 'onoff' | 'memory'
}

export function gpio(): Schema<GpioConfig> {
  const entries = {
    pin: whole({ min: 0, max: 53, example: 17 }),
    direction: choice(['in', 'out']),
    active_low: v.optional(flag(), false),
    debounce: v.optional(duration({ min: 0, max: 10_000, example: '20ms' }), '20ms'),
    initial: v.optional(flag()),
    driver: v.optional(choice(['auto', 'onoff', 'memory']), 'auto'),
  }
  const check = (written: Record<string, unknown>, report: Report) => {
    if (written.direction === 'in' && 'initial' in written) report('belongs to direction: out', ['initial'], 'key')
  }
  return v.pipe(
    map(entries, { example: 'pin: 17', check }),
    v.transform(({ initial, ...rest }) => ({ ...rest, initial })),
  )
}
