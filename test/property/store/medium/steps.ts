/** Random scenarios for the store: what a household does to it, step by step. */
import fc from 'fast-check'
import type { QoS } from '../../../../src/mqtt/packets.ts'

export const CLIENTS = ['kitchen', 'hall', 'attic'] as const
export const TOPICS = ['bread/white', 'bread/rye', 'milk'] as const
export const FILTERS = ['bread/#', 'milk', 'bread/rye', '#'] as const

/** What follows a step: nothing, one turn of the event loop, or all that it set going. */
export type Rest = 'none' | 'turn' | 'quiet'

export type Step = { rest: Rest } & (
  | { do: 'publish'; topic: number; qos: QoS; retain: boolean; size: number; expires: number; count: number }
  | { do: 'pubrel'; pick: number }
  | { do: 'attach' | 'detach' | 'discard'; client: number }
  | { do: 'take'; client: number; count: number }
  | { do: 'acknowledge'; client: number; pick: number; count: number }
  | { do: 'subscribe'; client: number; filter: number; qos: QoS }
  | { do: 'unsubscribe'; client: number; filter: number }
  | { do: 'advance'; by: number }
)

export interface Scenario {
  /** Loss window in ms; 0 is `ack`, Infinity `none`. */
  window: number
  queueQos0: boolean
  steps: Step[]
}

/** Bytes of a payload of which a few do not fit one batch. */
const LARGE = 1_300_000

/** No expiry. */
export const FOREVER = 0

const rest = fc.constantFrom<Rest[]>('none', 'none', 'turn', 'quiet', 'quiet')
const qos = fc.constantFrom<QoS[]>(0, 1, 1, 2, 2)
const client = fc.nat({ max: CLIENTS.length - 1 })
const filter = fc.nat({ max: FILTERS.length - 1 })
const is = <const T extends string | number>(name: T) => fc.constant(name)

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      rest,
      do: is('publish'),
      topic: fc.nat({ max: TOPICS.length - 1 }),
      qos,
      retain: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.constant(true)),
      size: fc.oneof({ weight: 30, arbitrary: fc.constant(20) }, { weight: 3, arbitrary: is(0) }, is(LARGE)),
      expires: fc.constantFrom(FOREVER, FOREVER, FOREVER, FOREVER, 1_000, 5_000),
      count: fc.constantFrom(1, 1, 2, 5),
    }),
  },
  { weight: 3, arbitrary: fc.record({ rest, do: is('pubrel'), pick: fc.nat({ max: 4 }) }) },
  { weight: 3, arbitrary: fc.record({ rest, do: fc.constantFrom('attach', 'detach'), client }) },
  { weight: 1, arbitrary: fc.record({ rest, do: is('discard'), client }) },
  { weight: 6, arbitrary: fc.record({ rest, do: is('take'), client, count: fc.integer({ min: 1, max: 10 }) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      rest,
      do: is('acknowledge'),
      client,
      pick: fc.nat({ max: 3 }),
      count: fc.integer({ min: 1, max: 6 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ rest, do: is('subscribe'), client, filter, qos }) },
  { weight: 1, arbitrary: fc.record({ rest, do: is('unsubscribe'), client, filter }) },
  { weight: 2, arbitrary: fc.record({ rest, do: is('advance'), by: fc.constantFrom(10, 20, 300, 1_100, 2_500) }) },
)

export const scenario: fc.Arbitrary<Scenario> = fc.record({
  window: fc.constantFrom(0, 0, 0, 2_000, Number.POSITIVE_INFINITY),
  queueQos0: fc.boolean(),
  steps: fc.array(step, { minLength: 10, maxLength: 30, size: 'max' }),
})
