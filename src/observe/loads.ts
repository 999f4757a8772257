/**
 * How much goes on, per minute, as the system's load average is reckoned: each look counts for what happened since the
 * last, and fades with time, over one minute, five and fifteen (mosquitto(8), `$SYS/broker/load/`).
 */
import { type MetricName, numberOf } from './metrics.ts'
import type { Figures } from './ports.ts'

/** Milliseconds in which what was counts for a third. */
const SPANS = { '1min': 60_000, '5min': 300_000, '15min': 900_000 } as const
const MINUTE = 60_000

/** What is averaged: rows that only grow, and of which labels. */
export const LOADS: Readonly<Record<string, readonly [MetricName, ...string[]]>> = {
  'messages/received': ['larder_mqtt_packets_total', 'received'],
  'messages/sent': ['larder_mqtt_packets_total', 'sent'],
  'publish/received': ['larder_mqtt_publishes_total', 'received'],
  'publish/sent': ['larder_mqtt_publishes_total', 'sent'],
  'publish/dropped': ['larder_mqtt_publishes_dropped_total', 'slow_reader', 'queue_full'],
  'bytes/received': ['larder_mqtt_bytes_total', 'received'],
  'bytes/sent': ['larder_mqtt_bytes_total', 'sent'],
  sockets: ['larder_mqtt_connections_total'],
  connections: ['larder_mqtt_connects_total'],
}

export class LoadAverages {
  readonly #averages = new Map<string, number>()
  readonly #counts = new Map<string, number>()
  #lookedAt: number | undefined

  /** `now` in monotonic milliseconds. Gives each average by its name, such as `bytes/sent/5min`. */
  advance(now: number, figures: Figures): ReadonlyMap<string, number> {
    const passed = this.#lookedAt === undefined ? 0 : now - this.#lookedAt
    this.#lookedAt = now
    for (const [name, [metric, ...labels]] of Object.entries(LOADS)) {
      const count = numberOf(figures, metric, labels)
      const happened = count - (this.#counts.get(name) ?? count)
      this.#counts.set(name, count)
      const rate = passed === 0 ? 0 : (happened * MINUTE) / passed
      for (const [span, length] of Object.entries(SPANS)) {
        const key = `${name}/${span}`
        const faded = Math.exp(-passed / length)
        this.#averages.set(key, rate + faded * ((this.#averages.get(key) ?? 0) - rate))
      }
    }
    return this.#averages
  }
}
