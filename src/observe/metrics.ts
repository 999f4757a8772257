/**
 * The one table of what the gateway tells of itself in numbers: Prometheus, `$SYS` and `larder status` read it, so that
 * a number has one owner. A row reads from figures that were taken at one moment. Names are as Prometheus wants them:
 * base units, `_total` for what only grows. No row has a label for a topic, a client, a user or an address: there is
 * no end of those.
 */
import type { BridgeFigures, DeviceFigures, Distribution, Figures } from './ports.ts'

/** A number; numbers by the value of the row's label; or a distribution. Undefined: not known here. */
export type Value = number | undefined | Readonly<Record<string, number>> | Distribution

export interface Metric {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  /** Name of its label. */
  readonly label?: string
  read(figures: Figures): Value
}

const seconds = (milliseconds: number) => milliseconds / 1000

function counter(help: string, read: (figures: Figures) => number | undefined): Metric {
  return { type: 'counter', help, read }
}

function gauge(help: string, read: (figures: Figures) => number | undefined): Metric {
  return { type: 'gauge', help, read }
}

/** A row with one label. */
function by(
  label: string,
  type: 'counter' | 'gauge',
  help: string,
  read: (figures: Figures) => Readonly<Record<string, number>>,
): Metric {
  return { type, help, label, read }
}

export const METRICS = {
  larder_build_info: by('version', 'gauge', 'Always 1; the label is what matters.', ({ version }) => ({
    [version]: 1,
  })),
  larder_start_time_seconds: gauge('When the gateway started, in seconds since 1970.', ({ startedAt }) =>
    seconds(startedAt),
  ),
  larder_mqtt_bytes_total: by(
    'direction',
    'counter',
    'Bytes of MQTT; TLS and WebSocket frames around it are not counted.',
    ({ traffic }) => ({ received: traffic.bytesReceived, sent: traffic.bytesSent }),
  ),
  larder_mqtt_packets_total: by('direction', 'counter', 'MQTT packets of all types.', ({ traffic }) => ({
    received: traffic.packetsReceived,
    sent: traffic.packetsSent,
  })),
  larder_mqtt_publishes_total: by('direction', 'counter', 'PUBLISH packets.', ({ traffic }) => ({
    received: traffic.received,
    sent: traffic.sent,
  })),
  larder_mqtt_publish_payload_bytes_total: by('direction', 'counter', 'Payload of PUBLISH packets.', ({ traffic }) => ({
    received: traffic.payloadReceived,
    sent: traffic.payloadSent,
  })),
  larder_mqtt_publishes_dropped_total: by(
    'reason',
    'counter',
    'Messages that somebody did not get: their client did not read (slow_reader), its queue was full (queue_full), their time was over (expired), it takes none so large (too_large), or their publisher may not (not_allowed).',
    ({ traffic, queues }) => ({
      slow_reader: traffic.dropped,
      queue_full: queues.dropped,
      expired: traffic.expired + queues.expired,
      too_large: traffic.tooLarge,
      not_allowed: traffic.denied,
    }),
  ),
  larder_mqtt_publishes_refused_total: counter(
    'Messages that were not acknowledged, because the store had no room.',
    ({ queues }) => queues.refused,
  ),
  larder_mqtt_connections: gauge('Open connections, also before their CONNECT.', ({ connections }) => connections.open),
  larder_mqtt_connections_total: counter('Connections that came in.', ({ traffic }) => traffic.sockets),
  larder_mqtt_connections_refused_total: by(
    'reason',
    'counter',
    'Connections closed at once: too many in all (limit), or from one address (address).',
    ({ connections: { refused } }) => ({ limit: refused.limit, address: refused.address }),
  ),
  larder_mqtt_connects_total: counter('CONNECT packets.', ({ traffic }) => traffic.connects),
  larder_mqtt_clients: by(
    'state',
    'gauge',
    'Clients that are connected, and sessions that wait for theirs.',
    ({ clients }) => ({ connected: clients.connected, disconnected: clients.disconnected }),
  ),
  larder_mqtt_clients_most: gauge(
    'Clients connected at once, at most, since the start.',
    ({ clients }) => clients.most,
  ),
  larder_mqtt_sessions_expired_total: counter(
    'Sessions that ended because their client did not come back in time.',
    ({ traffic }) => traffic.expiredSessions,
  ),
  larder_mqtt_subscriptions: by(
    'kind',
    'gauge',
    'Subscriptions of all sessions: of one client (plain), of a group (shared).',
    ({ subscriptions: { plain, shared } }) => ({ plain, shared }),
  ),
  larder_mqtt_retained_messages: gauge(
    'Retained messages, those below $SYS included.',
    ({ queues }) => queues.retained,
  ),
  larder_mqtt_retained_bytes: gauge(
    'Topics, payloads and properties of retained messages.',
    ({ queues }) => queues.retainedBytes,
  ),
  larder_queue_messages: by(
    'queue',
    'gauge',
    'Messages that wait: for clients (clients), for a bridge (bridge: and its name). One that waits for several is counted for each.',
    ({ queues, bridges }) => {
      const spooled = bridges.reduce((sum, { waiting }) => sum + waiting, 0)
      return { clients: Math.max(0, queues.messages - spooled), ...named(bridges, 'bridge:', ({ waiting }) => waiting) }
    },
  ),
  larder_queue_oldest_age_seconds: by(
    'queue',
    'gauge',
    'How long the oldest of them has waited, looked at every ten seconds.',
    ({ queues, bridges }) => ({
      ...(queues.oldest === undefined ? {} : { clients: seconds(queues.oldest) }),
      ...named(
        bridges.filter(({ oldest }) => oldest !== undefined),
        'bridge:',
        ({ oldest = 0 }) => seconds(oldest),
      ),
    }),
  ),
  larder_queue_bytes: gauge('Topics, payloads and properties of messages that wait.', ({ queues }) => queues.bytes),
  larder_store_commits_total: counter('Batches written to the store.', ({ store }) => store?.commits),
  larder_store_syncs_total: counter('Batches among them that were forced to the disk.', ({ store }) => store?.syncs),
  larder_store_commit_seconds: {
    type: 'histogram',
    help: 'How long a batch took.',
    read: ({ store }) => store?.latency,
  },
  larder_store_failures_total: counter(
    'Batches that could not be written; they are tried again.',
    ({ store }) => store?.failures,
  ),
  larder_store_elided_total: counter(
    'Messages that never had to be written, because everybody had taken them.',
    ({ store }) => store?.elided,
  ),
  larder_store_written_bytes_total: counter('Keys and values handed to LevelDB.', ({ store }) => store?.bytes),
  larder_store_damaged_records_total: counter('Records that did not read.', ({ store }) => store?.damaged),
  larder_store_loss_window_seconds: gauge(
    'What a power cut may take of what was acknowledged, at most; +Inf when nothing is promised.',
    ({ store }) => (store === undefined ? undefined : seconds(store.lossWindow)),
  ),
  larder_disk_written_bytes_total: counter(
    'What the system wrote to disks for the gateway since it was up, journals and tidying up included.',
    ({ process }) => process.diskWritten,
  ),
  larder_disk_written_bytes_per_publish: gauge('The same for each PUBLISH that came in.', ({ process, traffic }) =>
    process.diskWritten === undefined || traffic.received === 0 ? undefined : process.diskWritten / traffic.received,
  ),
  larder_bridge_connected: by('bridge', 'gauge', '1 while its upstream is there.', ({ bridges }) =>
    named(bridges, '', ({ connected }) => Number(connected)),
  ),
  larder_bridge_sent_total: by('bridge', 'counter', 'Messages that its upstream has taken.', ({ bridges }) =>
    named(bridges, '', ({ sent }) => sent),
  ),
  larder_devices: by('state', 'gauge', 'Devices and parts of devices.', ({ devices }) => states(devices)),
  larder_device_readings_total: counter('Readings of all devices that are there.', ({ devices }) =>
    devices.reduce((sum, { counters }) => sum + counters.readings, 0),
  ),
  larder_device_faults_total: counter('Faults of all devices that are there.', ({ devices }) =>
    devices.reduce((sum, { counters }) => sum + counters.faults, 0),
  ),
  larder_event_loop_delay_seconds: by(
    'quantile',
    'gauge',
    'How late the event loop was in the last ten seconds.',
    ({ process: { loop } }) => ({
      '0.5': seconds(loop.median),
      '0.99': seconds(loop.p99),
      '1': seconds(loop.worst),
    }),
  ),
  larder_process_heap_bytes: gauge('Memory that JavaScript and its buffers take.', ({ process }) => process.heap),
  larder_process_heap_most_bytes: gauge(
    'The same, at most, whenever it was looked at.',
    ({ process }) => process.heapMost,
  ),
  larder_process_resident_bytes: gauge('Memory of the process.', ({ process }) => process.resident),
  larder_process_cpu_seconds_total: counter('Processor time.', ({ process }) => seconds(process.processor)),
} satisfies Record<string, Metric>

export type MetricName = keyof typeof METRICS

/** What a row says now: of the labels that are named, or of all, together. 0 where it is not known. */
export function numberOf(figures: Figures, name: MetricName, labels: readonly string[] = []): number {
  const metric: Metric = METRICS[name]
  const value = metric.read(figures)
  if (value === undefined || typeof value === 'number') return value ?? 0
  if (isDistribution(value)) return value.count
  const chosen = labels.length === 0 ? Object.keys(value) : labels
  return chosen.reduce((sum, label) => sum + (value[label] ?? 0), 0)
}

export function isDistribution(value: Exclude<Value, number | undefined>): value is Distribution {
  return Array.isArray((value as Distribution).bounds)
}

function named(
  bridges: readonly BridgeFigures[],
  prefix: string,
  read: (bridge: BridgeFigures) => number,
): Record<string, number> {
  return Object.fromEntries(bridges.map(bridge => [`${prefix}${bridge.name}`, read(bridge)]))
}

function states(devices: readonly DeviceFigures[]): Record<string, number> {
  const counts = { starting: 0, online: 0, offline: 0, stale: 0 }
  for (const { state } of devices) counts[state]++
  return counts
}
