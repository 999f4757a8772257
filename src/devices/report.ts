/**
 * How each device is doing, below `$SYS/broker/devices/<room>/<name>/`, retained: `state`, `last_fault`, `readings`
 * and `faults`. Looked at every ten seconds and published where something has changed; taken back when a device is
 * there no more. Whoever wants to know at once listens to its availability.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import type { DeviceBroker, DeviceState } from './ports.ts'

/** ms between two looks: a reading every second must not be two messages every second. */
export const REPORT_INTERVAL_MS = 10_000

export const REPORT_ROOT = '$SYS/broker/devices'

export class DeviceReport {
  readonly #broker: DeviceBroker
  readonly #clock: Clock
  readonly #states: () => readonly DeviceState[]
  #told = new Map<string, string>()
  #timer: Timer | undefined

  constructor(options: { broker: DeviceBroker; clock: Clock; states: () => readonly DeviceState[] }) {
    this.#broker = options.broker
    this.#clock = options.clock
    this.#states = options.states
  }

  start(): void {
    this.update()
    this.#timer = this.#clock.every(REPORT_INTERVAL_MS, () => this.update())
  }

  /** Nobody is there to keep it true: what was told is taken back. */
  stop(): void {
    this.#timer?.cancel()
    this.#tell(new Map())
  }

  /** Publishes what has changed. */
  update(): void {
    this.#tell(new Map(this.#states().flatMap(linesOf)))
  }

  #tell(wanted: Map<string, string>): void {
    const told = this.#told
    this.#told = wanted
    for (const topic of told.keys()) if (!wanted.has(topic)) this.#publish(topic, '')
    for (const [topic, payload] of wanted) if (told.get(topic) !== payload) this.#publish(topic, payload)
  }

  #publish(topic: string, payload: string): void {
    // A device of an embedding program may have a name that is no part of a topic; it goes without.
    this.#broker.publish(topic, Buffer.from(payload), { qos: 0, retain: true }).catch(() => {})
  }
}

function linesOf({ room, name, state, lastFault, counters }: DeviceState): [string, string][] {
  const below = `${REPORT_ROOT}/${room}/${name}`
  return [
    [`${below}/state`, state],
    [`${below}/readings`, `${counters.readings}`],
    [`${below}/faults`, `${counters.faults}`],
    ...(lastFault === undefined ? [] : [[`${below}/last_fault`, lastFault.reason] satisfies [string, string]]),
  ]
}
