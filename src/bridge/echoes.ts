/**
 * What we sent to an upstream that sends it back to us, because we subscribe to it there as well and MQTT 3.1.1 has no
 * way to ask it not to. Each message that is expected back swallows one that comes and is the same to the byte. An
 * upstream sends back whatever we sent, so nobody else's message is swallowed in its place; what does not come back,
 * because a connection broke, is forgotten after a while.
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../kernel/clock.ts'

/** Messages expected back: two seconds of a fast drain. What goes beyond is forgotten, oldest first. */
const MAX_EXPECTED = 10_000
/** ms until an expected message is forgotten: longer than an upstream with a full queue takes to come to it. */
const EXPECTED_FOR = 60_000

export class Echoes {
  readonly #clock: Clock
  /** Monotonic times at which each was sent. */
  readonly #expected = new Map<string, number[]>()
  #count = 0

  constructor(deps: { clock: Clock }) {
    this.#clock = deps.clock
  }

  expect(topic: string, payload: Buffer): void {
    const key = keyOf(topic, payload)
    const times = this.#expected.get(key) ?? []
    // The order of the map is the order in which they were last sent.
    this.#expected.delete(key)
    this.#expected.set(key, times)
    times.push(this.#clock.monotonic())
    this.#count++
    for (const [oldest, sent] of this.#expected) {
      if (this.#count <= MAX_EXPECTED) return
      this.#expected.delete(oldest)
      this.#count -= sent.length
    }
  }

  /** True when this is one that was expected; then it is expected no more. */
  isEcho(topic: string, payload: Buffer): boolean {
    if (this.#count === 0) return false
    const key = keyOf(topic, payload)
    const times = this.#expected.get(key)
    const since = this.#clock.monotonic() - EXPECTED_FOR
    while (times !== undefined && times.length > 0) {
      const sent = times.shift() as number
      this.#count--
      if (times.length === 0) this.#expected.delete(key)
      if (sent >= since) return true
    }
    return false
  }
}

function keyOf(topic: string, payload: Buffer): string {
  return `${createHash('sha1').update(payload).digest('base64')} ${topic}`
}
