/**
 * The one table of what the gateway tells of itself in numbers: Prometheus, `$SYS` and `larder status` read it, so that
 * a number has one owner. A row reads from figures that were taken at one moment. Names are as Prometheus wants them:
 * base units, `_total` for what only grows. No row has a label for a topic, a client, a user or an address: there is
 * no end of those.
 */
import type { BridgeFigures, DeviceFigures, Figures } from './ports.ts'
import { by, counter, gauge, gauges, isDistribution, type Metric, samplesOf, seconds } from './rows.ts'
import { SENSOR_METRICS } from './sensors.ts'

/** Why a message did not get to somebody. */
export const DROP_REASONS = ['slow_reader', 'queue_full', 'expired', 'too_large', 'not_allowed'] as const

const OWN = {
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
  larder_mqtt_unsent_bytes: gauge(
    'Bytes for clients that their connections have not taken yet.',
    ({ connections }) => connections.unsent,
  ),
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
  larder_queue_bytes: by(
    'queue',
    'gauge',
    'Topics, payloads and properties of messages that wait, in the same queues.',
    ({ queues, bridges }) => {
      const spooled = bridges.reduce((sum, { bytes }) => sum + bytes, 0)
      return { clients: Math.max(0, queues.bytes - spooled), ...named(bridges, 'bridge:', ({ bytes }) => bytes) }
    },
  ),
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
  larder_disk_written_bytes_per_publish: gauge(
    'What the system wrote to disks for each PUBLISH that came in.',
    ({ process, traffic }) =>
      process.diskWritten === undefined || traffic.received === 0 ? undefined : process.diskWritten / traffic.received,
  ),
  larder_bridge_connected: by('bridge', 'gauge', '1 while its upstream is there.', ({ bridges }) =>
    named(bridges, '', ({ connected }) => Number(connected)),
  ),
  larder_bridge_sent_total: by('bridge', 'counter', 'Messages that its upstream has taken.', ({ bridges }) =>
    named(bridges, '', ({ sent }) => sent),
  ),
  larder_bridge_received_total: by('bridge', 'counter', 'Messages from its upstream, published here.', ({ bridges }) =>
    named(bridges, '', ({ received }) => received),
  ),
  larder_bridge_not_sent_total: {
    type: 'counter',
    help: 'Messages that its upstream will not get: a limit of its queue pushed them out (queue_full), an outage left only what was newer (thinned), or their time was over (expired).',
    labels: ['bridge', 'reason'],
    read: ({ bridges }) =>
      bridges.flatMap(({ name: bridge, dropped, thinned, expired }) =>
        Object.entries({ queue_full: dropped, thinned, expired }).map(([reason, value]) => ({
          labels: { bridge, reason },
          value,
        })),
      ),
  },
  larder_bridge_dead_letters: by(
    'bridge',
    'gauge',
    'Messages set aside, because its upstream would not take them.',
    ({ bridges }) => named(bridges, '', ({ dead }) => dead),
  ),
  larder_bridge_paused: by('bridge', 'gauge', '1 while somebody has paused it.', ({ bridges }) =>
    named(bridges, '', ({ paused }) => Number(paused)),
  ),
  larder_bridge_drain_end_timestamp_seconds: by(
    'bridge',
    'gauge',
    'When its backlog will be worked off as things go, in seconds since 1970.',
    ({ bridges }) =>
      named(
        bridges.filter(({ drain }) => drain?.endsAt !== undefined),
        '',
        ({ drain }) => seconds(drain?.endsAt ?? 0),
      ),
  ),
  larder_devices: by('state', 'gauge', 'Devices and parts of devices.', ({ devices }) => states(devices)),
  larder_device_readings_total: counter('Readings of all devices that are there.', ({ devices }) =>
    devices.reduce((sum, { counters }) => sum + counters.readings, 0),
  ),
  larder_device_faults_total: counter('Faults of all devices that are there.', ({ devices }) =>
    devices.reduce((sum, { counters }) => sum + counters.faults, 0),
  ),
  larder_certificate_not_after_timestamp_seconds: gauges(
    ['of', 'name'],
    'When a certificate ends, in seconds since 1970: the first of a listener, by its address, or the one that a bridge shows, by its name.',
    ({ certificates }) =>
      certificates.map(({ of, name, expiresAt }) => ({ labels: { of, name }, value: seconds(expiresAt) })),
  ),
  larder_process_heap_most_bytes: gauge(
    'Memory that JavaScript and its buffers took, at most, whenever it was looked at.',
    ({ process }) => process.heapMost,
  ),
  process_cpu_seconds_total: counter('Processor time.', ({ process }) => seconds(process.processor)),
  process_resident_memory_bytes: gauge('Memory of the process.', ({ process }) => process.resident),
  process_open_fds: gauge(
    'Files, sockets and the like that the process has open.',
    ({ process }) => process.files?.open,
  ),
  process_max_fds: gauge('How many it may have: beyond, nobody can connect.', ({ process }) => process.files?.most),
  process_start_time_seconds: gauge('When the process started, in seconds since 1970.', ({ process }) =>
    seconds(process.startedAt),
  ),
  nodejs_heap_size_used_bytes: gauge('Memory that JavaScript takes.', ({ process }) => process.heap),
  nodejs_external_memory_bytes: gauge('Memory that its buffers take.', ({ process }) => process.external),
  nodejs_eventloop_lag_p50_seconds: gauge(
    'How late the event loop was in the last half minute, at the median.',
    late('median'),
  ),
  nodejs_eventloop_lag_p99_seconds: gauge(
    'How late the event loop was in the last half minute, in 99 of 100 cases.',
    late('p99'),
  ),
  nodejs_eventloop_lag_max_seconds: gauge(
    'How late the event loop was in the last half minute, at worst.',
    late('worst'),
  ),
} satisfies Record<string, Metric>

export type MetricName = keyof typeof OWN

/** By their names. */
export const METRICS: Readonly<Record<string, Metric>> = { ...OWN, ...SENSOR_METRICS }

/** What a row says now: of the labels that are named, or of all, together. 0 where it is not known. */
export function numberOf(figures: Figures, name: MetricName, labels: readonly string[] = []): number {
  const metric: Metric = OWN[name]
  const value = metric.read(figures)
  if (typeof value === 'object' && isDistribution(value)) return value.count
  const isMeant = (of: Readonly<Record<string, string>>) =>
    labels.length === 0 || labels.includes(of[metric.labels?.[0] ?? ''] ?? '')
  return samplesOf(metric, value).reduce((sum, { labels: of, value }) => sum + (isMeant(of) ? value : 0), 0)
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

function late(how: keyof Figures['process']['loop']): (figures: Figures) => number {
  return ({ process: { loop } }) => seconds(loop[how])
}
