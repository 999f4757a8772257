/**
 * The numbers below `$SYS/broker/`, under the names that Mosquitto gives them and in its forms (mosquitto(8)): what a
 * dashboard, an exporter or a person with mosquitto_sub asks a broker for. Published retained, at QoS 0, once an
 * interval, and only what has changed since.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import { LOADS, LoadAverages } from './loads.ts'
import { DROP_REASONS, type MetricName, numberOf } from './metrics.ts'
import type { Figures } from './ports.ts'

const ROOT = '$SYS/broker'

type Read = (figures: Figures) => string

const of =
  (name: MetricName, ...labels: string[]): Read =>
  figures =>
    `${numberOf(figures, name, labels)}`

/** Sum of several rows. */
const together =
  (...names: MetricName[]): Read =>
  figures =>
    `${names.reduce((sum, name) => sum + numberOf(figures, name), 0)}`

const connected = of('larder_mqtt_clients', 'connected')
const disconnected = of('larder_mqtt_clients', 'disconnected')
/** Mosquitto counts retained messages among those that it stores. */
const stored = together('larder_queue_messages', 'larder_mqtt_retained_messages')

export const TOPICS: Readonly<Record<string, Read>> = {
  version: ({ version }) => `larder version ${version}`,
  uptime: ({ uptime }) => `${Math.floor(uptime / 1000)} seconds`,
  'clients/total': of('larder_mqtt_clients'),
  'clients/connected': connected,
  'clients/active': connected,
  'clients/disconnected': disconnected,
  'clients/inactive': disconnected,
  'clients/maximum': of('larder_mqtt_clients_most'),
  'clients/expired': of('larder_mqtt_sessions_expired_total'),
  'messages/received': of('larder_mqtt_packets_total', 'received'),
  'messages/sent': of('larder_mqtt_packets_total', 'sent'),
  'messages/stored': stored,
  'store/messages/count': stored,
  'store/messages/bytes': together('larder_queue_bytes', 'larder_mqtt_retained_bytes'),
  'retained messages/count': of('larder_mqtt_retained_messages'),
  'subscriptions/count': of('larder_mqtt_subscriptions', 'plain'),
  'shared_subscriptions/count': of('larder_mqtt_subscriptions', 'shared'),
  'publish/messages/received': of('larder_mqtt_publishes_total', 'received'),
  'publish/messages/sent': of('larder_mqtt_publishes_total', 'sent'),
  'publish/messages/dropped': of('larder_mqtt_publishes_dropped_total', 'slow_reader', 'queue_full'),
  'publish/bytes/received': of('larder_mqtt_publish_payload_bytes_total', 'received'),
  'publish/bytes/sent': of('larder_mqtt_publish_payload_bytes_total', 'sent'),
  'bytes/received': of('larder_mqtt_bytes_total', 'received'),
  'bytes/sent': of('larder_mqtt_bytes_total', 'sent'),
  'connections/socket/count': of('larder_mqtt_connections_total'),
  'packet/out/bytes': of('larder_mqtt_unsent_bytes'),
  'heap/current': together('nodejs_heap_size_used_bytes', 'nodejs_external_memory_bytes'),
  'heap/maximum': of('larder_process_heap_most_bytes'),
}

/** What only this gateway tells: about the card, the store and the loop. Milliseconds and seconds as their names say. */
export const OWN_TOPICS: Readonly<Record<string, Read>> = {
  ...Object.fromEntries(
    DROP_REASONS.map(reason => [
      `publish/messages/dropped/${reason}`,
      of('larder_mqtt_publishes_dropped_total', reason),
    ]),
  ),
  'publish/messages/refused': of('larder_mqtt_publishes_refused_total'),
  'queue/oldest_seconds': figures => `${Math.floor(numberOf(figures, 'larder_queue_oldest_age_seconds', ['clients']))}`,
  'store/commits/count': of('larder_store_commits_total'),
  'store/commits/mean_ms': ({ store }) =>
    store === undefined || store.latency.count === 0 ? '0.0' : (store.latency.sum / store.latency.count).toFixed(1),
  'store/elided/count': of('larder_store_elided_total'),
  'disk/written/bytes': of('larder_disk_written_bytes_total'),
  'disk/written/bytes_per_message': figures => numberOf(figures, 'larder_disk_written_bytes_per_publish').toFixed(1),
  'event_loop/delay_ms': ({ process: { loop } }) => loop.p99.toFixed(1),
}

export class SysTopics {
  #interval: number
  readonly #clock: Clock
  readonly #look: () => Figures
  readonly #publish: (topic: string, payload: string) => void
  readonly #loads = new LoadAverages()
  readonly #told = new Map<string, string>()
  #timer: Timer | undefined

  /** `interval` in milliseconds; 0 publishes nothing. */
  constructor(deps: {
    interval: number
    clock: Clock
    look: () => Figures
    publish: (topic: string, payload: string) => void
  }) {
    this.#interval = deps.interval
    this.#clock = deps.clock
    this.#look = deps.look
    this.#publish = deps.publish
  }

  start(): void {
    if (this.#interval === 0) return
    this.#tell()
    this.#timer = this.#clock.every(this.#interval, () => this.#tell())
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** Publishes at another interval; at 0 what stands there is taken back, as nobody keeps it true. */
  change(interval: number): void {
    if (interval === this.#interval) return
    this.stop()
    this.#interval = interval
    if (interval === 0) for (const topic of [...this.#told.keys()]) this.#say(topic, '')
    this.start()
  }

  #tell(): void {
    const figures = this.#look()
    for (const [topic, read] of [...Object.entries(TOPICS), ...Object.entries(OWN_TOPICS)])
      this.#say(topic, read(figures))
    for (const [topic, load] of this.#loads.advance(this.#clock.monotonic(), figures)) {
      this.#say(`load/${topic}`, load.toFixed(2))
    }
  }

  #say(topic: string, payload: string): void {
    if (this.#told.get(topic) === payload) return
    this.#told.set(topic, payload)
    this.#publish(`${ROOT}/${topic}`, payload)
  }
}

/** All that is published below `$SYS/broker/` on an interval. */
export function sysTopicNames(): string[] {
  const loads = Object.keys(LOADS).flatMap(name => ['1min', '5min', '15min'].map(span => `load/${name}/${span}`))
  return [...Object.keys(TOPICS), ...Object.keys(OWN_TOPICS), ...loads]
}
