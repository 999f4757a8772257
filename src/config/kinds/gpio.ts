/** `devices[].gpio`: one of the board's pins, or a line of another chip. */
import * as v from 'valibot'
import { likelySpelling } from '../spelling.ts'
import { map, type Report } from '../structure.ts'
import { choice, decimal, duration, flag, type Schema, text, whole } from '../values.ts'

const DAY = 86_400_000
/** ms between two reports of a counter: seldom enough for a busy meter, often enough to see the kettle. */
const REPORT_EVERY = 10_000
/** ms between two writes of a count: some 100,000 a year, which no card minds. */
const SAVE_EVERY = 300_000

export interface GpioConfig {
  /** BCM number, 0 to 53; with `chip` the number of the line on that chip. */
  pin: number
  /** Label or name of the chip; undefined: the Raspberry Pi's header. */
  chip: string | undefined
  direction: 'in' | 'out' | 'count'
  activeLow: boolean
  /** Inputs and counters: undefined leaves the resistor as it is. */
  pull: 'up' | 'down' | 'none' | undefined
  /** Inputs and counters: ms that a level must stand before it counts. */
  debounce: number
  /** Inputs: the edges that are told of. Counters: the edges that are pulses. */
  edge: 'both' | 'rising' | 'falling'
  /** Outputs: level to set when opened; undefined keeps the one it has. */
  initial: boolean | undefined
  /** Outputs: ms after which it goes off by itself. */
  pulse: number | undefined
  /** Outputs: what becomes of the level when the gateway stops. */
  atStop: 'keep' | 'on' | 'off'
  /** Counters: what one pulse is worth in the meter's unit. */
  perPulse: number
  /** Counters: ms between two reports. */
  every: number
  /** Counters: ms between two writes of the count. */
  save: number
  driver: 'auto' | 'onoff' | 'gpiod' | 'memory'
}

/** Keys that mean something only in some directions. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  pull: ['in', 'count'],
  edge: ['in', 'count'],
  initial: ['out'],
  pulse: ['out'],
  at_stop: ['out'],
  per_pulse: ['count'],
  every: ['count'],
  save: ['count'],
}

export function gpio(): Schema<GpioConfig> {
  const entries = {
    pin: v.exactOptional(whole({ min: 0, max: 53, example: 17 })),
    chip: v.optional(text({ example: 'gpiochip2', max: 64 })),
    line: v.exactOptional(whole({ min: 0, max: 1023, example: 3 })),
    direction: choice(['in', 'out', 'count']),
    active_low: v.optional(flag(), false),
    pull: v.optional(choice(['up', 'down', 'none'])),
    debounce: v.optional(duration({ min: 0, max: 10_000, example: '20ms' }), '20ms'),
    edge: v.optional(choice(['both', 'rising', 'falling'])),
    initial: v.optional(flag()),
    pulse: v.optional(duration({ min: 10, max: DAY, example: '500ms' })),
    at_stop: v.optional(choice(['keep', 'on', 'off'])),
    per_pulse: v.optional(decimal(0.001)),
    every: v.optional(duration({ min: 100, max: DAY, example: '10s' })),
    save: v.optional(duration({ min: 1_000, max: DAY, example: '5m' })),
    driver: v.optional(choice(['auto', 'onoff', 'gpiod', 'memory']), 'auto'),
  }
  return v.pipe(
    map(entries, { example: 'pin: 17', check: contradictions }),
    v.transform(({ pin, line, ...written }) => ({
      chip: written.chip,
      pin: pin ?? line ?? 0, // one of them is there
      direction: written.direction,
      activeLow: written.activeLow,
      pull: written.pull,
      debounce: written.debounce,
      // A pulse has two edges, and is counted once.
      edge: written.edge ?? (written.direction === 'count' ? 'rising' : 'both'),
      initial: written.initial,
      pulse: written.pulse,
      atStop: written.atStop ?? 'keep',
      perPulse: written.perPulse ?? 1,
      every: written.every ?? REPORT_EVERY,
      save: written.save ?? SAVE_EVERY,
      driver: written.driver,
    })),
  )
}

function contradictions(written: Record<string, unknown>, report: Report): void {
  if (!('line' in written)) {
    // When an unknown key was meant to be the pin, that is said there.
    const isMisspelt = Object.keys(written).some(key => likelySpelling(key, ['pin', 'line']) !== undefined)
    if (!('pin' in written) && !isMisspelt) report('is required, such as pin: 17', ['pin'], 'missing')
    if ('chip' in written) report('needs the line on that chip, such as line: 3, in place of pin', ['chip'], 'key')
  } else if ('pin' in written) report('is a line of a chip already; a pin is on the header', ['pin'], 'key')
  else if (!('chip' in written)) report('is required with line, such as chip: gpiochip2', ['chip'], 'missing')
  for (const [key, directions] of Object.entries(OWNERS)) {
    if (key in written && ['in', 'out', 'count'].includes(`${written.direction}`)) {
      if (!directions.includes(`${written.direction}`)) {
        report(`belongs to direction: ${directions.join(' or ')}`, [key], 'key')
      }
    }
  }
  if (typeof written.per_pulse === 'number' && written.per_pulse <= 0) {
    report('must be more than 0', ['per_pulse'])
  }
  if ('pulse' in written && written.initial === true) {
    report('with a pulse the output begins off: take this out', ['initial'], 'key')
  }
}
