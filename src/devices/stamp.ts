/**
 * Time and number of a message, for whoever gets it late: over a bridge after an outage, or from a queue.
 *
 *   json         {"value":21.5,"time":"2026-01-31T12:00:00.000Z","seq":17}: `value` is what would be published without
 *   properties   MQTT 5 user properties `time` and `seq`; the payload stays as it is
 *
 * `time` is when the device says that it was measured, else when it was read. Where the device says nothing and the wall
 * clock cannot be believed, it is left out and `synced` is false. `seq` counts the messages of one topic since the
 * gateway started, from 1: one that is missing was lost.
 */
import { CLOCK_STEP_MS, type Clock, type ClockSync } from '../kernel/clock.ts'
import { isoTime } from '../kernel/iso-time.ts'
import type { Properties } from '../mqtt/properties.ts'
import type { Thing } from './ports.ts'
import { type Item, toJson, toText } from './shape.ts'

export interface Mark {
  /** Wall time in ms; undefined when nobody knows. */
  readonly time: number | undefined
  readonly seq: number
}

/** The payload of a message and the properties that belong to it. */
export function encode(
  items: readonly Item[],
  kind: Thing['stamp'],
  { time, seq }: Mark,
): { payload: string; properties: Properties } {
  const iso = time === undefined ? undefined : isoOf(time)
  switch (kind) {
    case 'json': {
      const when = iso === undefined ? '"synced":false' : `"time":"${iso}"`
      return { payload: `{"value":${toJson(items)},${when},"seq":${seq}}`, properties: {} }
    }
    case 'properties': {
      const when: [string, string] = iso === undefined ? ['synced', 'false'] : ['time', iso]
      return { payload: toText(items), properties: { userProperties: [when, ['seq', `${seq}`]] } }
    }
    default:
      return { payload: toText(items), properties: {} }
  }
}

/** Undefined for a time that no calendar has: a device may say anything. */
function isoOf(time: number): string | undefined {
  return Number.isNaN(new Date(time).getTime()) ? undefined : isoTime(time)
}

/** ms between two looks for signs that the clock was set: each look is a few system calls. */
const LOOK_AGAIN_MS = 1_000

/** Remembers the answer of another for a second, unless the clock is set meanwhile. */
export class RememberedSync implements ClockSync {
  readonly #sync: ClockSync
  readonly #clock: Clock
  #isSynced = false
  #askedAt = Number.NEGATIVE_INFINITY
  /** Wall time less monotonic time, then. */
  #offset = 0

  constructor(deps: { sync: ClockSync; clock: Clock }) {
    this.#sync = deps.sync
    this.#clock = deps.clock
  }

  isSynced(): boolean {
    const now = this.#clock.monotonic()
    const offset = this.#clock.wall() - now
    if (now - this.#askedAt < LOOK_AGAIN_MS && Math.abs(offset - this.#offset) < CLOCK_STEP_MS) return this.#isSynced
    this.#askedAt = now
    this.#offset = offset
    this.#isSynced = this.#sync.isSynced()
    return this.#isSynced
  }
}
