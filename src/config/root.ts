/** The top of `larder.yaml`, and the sections that are only a few numbers. */
import * as v from 'valibot'
import { type AccessEntry, access } from './access.ts'
import { type BridgeEntry, bridgeList } from './bridges.ts'
import { dashboard } from './dashboard.ts'
import { type DeviceEntry, deviceList } from './devices.ts'
import { homeAssistant } from './home-assistant.ts'
import { LISTENER_EXAMPLE, type ListenerEntry, listenerList } from './listeners.ts'
import { log } from './log.ts'
import { metrics } from './metrics.ts'
import { type Checks, scheduleList } from './schedules.ts'
import type {
  DashboardConfig,
  HomeAssistantConfig,
  LimitsConfig,
  LogConfig,
  MetricsConfig,
  ScheduleConfig,
  StoreConfig,
} from './schema.ts'
import { store } from './store.ts'
import { map } from './structure.ts'
import { levels } from './topics.ts'
import { choice, duration, flag, type Schema, size, text, whole } from './values.ts'

/** The file as it was read, before paths and names that depend on each other are filled in. */
export interface Root {
  name: string
  dataDir: string
  listeners: ListenerEntry[]
  access: AccessEntry
  store: StoreConfig
  limits: LimitsConfig
  devices: DeviceEntry[]
  schedules: ScheduleConfig[]
  bridges: BridgeEntry[]
  homeAssistant: HomeAssistantConfig
  metrics: MetricsConfig
  dashboard: DashboardConfig
  log: LogConfig
}

export const DEFAULT_NAME = 'Larder'

const KIB = 2 ** 10
const MIB = 2 ** 20
const GIB = 2 ** 30
/** ms */
const DAY = 86_400_000
/** A hundred years in ms: the standard has 136 (MQTT 5 §3.1.2.11.2). */
const MAX_EXPIRY = 36_500 * DAY

export function rootSchema(checks: Checks): Schema<Root> {
  return map(
    {
      name: v.optional(levels('Larder'), DEFAULT_NAME),
      data_dir: v.optional(text({ example: './larder-data' }), './larder-data'),
      listeners: v.optional(listenerList(), [LISTENER_EXAMPLE]),
      access: v.optional(access(), {}),
      store: v.optional(store(), {}),
      limits: v.optional(limits(), {}),
      devices: v.optional(deviceList(), []),
      schedules: v.optional(scheduleList(checks), []),
      bridges: v.optional(bridgeList(), []),
      home_assistant: v.optional(homeAssistant(), { enabled: false }),
      metrics: v.optional(metrics(), {}),
      dashboard: v.optional(dashboard(), {}),
      log: v.optional(log(), {}),
    },
    { example: 'name: Larder', present: ['home_assistant'] },
  )
}

function limits(): Schema<LimitsConfig> {
  return map(
    {
      max_packet_size: v.optional(size({ min: KIB, max: 256 * MIB, example: '2MiB' }), '2MiB'),
      max_inflight: v.optional(whole({ min: 1, max: 65_535, example: 100 }), 100),
      receive_maximum: v.optional(whole({ min: 1, max: 65_535, example: 2_000 }), 2_000),
      max_queued_messages: v.optional(whole({ min: 1, max: 100_000_000, example: 100_000 }), 100_000),
      max_queued_bytes: v.optional(size({ min: KIB, max: 1024 * GIB, example: '256MiB' }), '256MiB'),
      max_queued_age: v.optional(orNone(duration({ min: 0, max: 3_650 * DAY, example: '7d' })), 0),
      max_total_messages: v.optional(whole({ min: 1, max: 1_000_000_000, example: 5_000_000 }), 5_000_000),
      max_total_bytes: v.optional(size({ min: KIB, max: 1024 * GIB, example: '2GiB' }), '2GiB'),
      overflow: v.optional(choice(['drop-oldest', 'drop-newest', 'reject']), 'drop-oldest'),
      max_unsent: v.optional(size({ min: KIB, max: GIB, example: '4MiB' }), '4MiB'),
      connect_timeout: v.optional(duration({ min: 100, max: 3_600_000, example: '10s' }), '10s'),
      max_keepalive: v.optional(duration({ min: 0, max: 65_535_000, example: '10m', seconds: true }), 0),
      max_topic_levels: v.optional(whole({ min: 1, max: 65_535, example: 200 }), 200),
      check_payload_format: v.optional(flag(), false),
      max_connections: v.optional(whole({ min: 1, max: 1_000_000, example: 10_000 }), 10_000),
      max_connections_per_address: v.optional(whole({ min: 1, max: 1_000_000, example: 100 }), 1_000),
      max_half_open: v.optional(whole({ min: 1, max: 100_000, example: 1_000 }), 1_000),
      max_inflight_bytes: v.optional(orNone(size({ min: 0, max: GIB, example: '1MiB' })), 0),
      max_subscriptions: v.optional(whole({ min: 1, max: 1_000_000, example: 10_000 }), 10_000),
      max_user_properties: v.optional(whole({ min: 0, max: 65_535, example: 100 }), 1_000),
      max_publish_rate: v.optional(whole({ min: 0, max: 1_000_000, example: 100 }), 0),
      publish_burst: v.optional(whole({ min: 1, max: 1_000_000, example: 100 }), 100),
      memory: v.optional(size({ min: MIB, max: 1024 * GIB, example: '128MiB' }), '128MiB'),
      max_session_expiry: v.optional(orNone(duration({ min: 0, max: MAX_EXPIRY, example: '30d', seconds: true })), 0),
      max_sessions: v.optional(orNone(whole({ min: 0, max: 100_000_000, example: 1_000 })), 0),
      retain_available: v.optional(flag(), true),
    },
    { example: 'max_packet_size: 2MiB' },
  )
}

/** 0 is no limit. */
function orNone(given: Schema<number>): Schema<number> {
  return v.pipe(
    given,
    v.transform(limit => (limit === 0 ? Number.POSITIVE_INFINITY : limit)),
  )
}
