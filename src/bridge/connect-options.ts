/**
 * What a bridge says in CONNECT: in which versions of MQTT it is tried, and of its options those that the bridge's session
 * asks for, those that the owner has said, which count instead, and those that MQTT.js must be told to leave alone.
 */
import type { IClientOptions } from 'mqtt'
import type { ConnectionSettings, LinkMemory } from './connection.ts'
import { type ProtocolVersion, TOPIC_ALIASES } from './limits.ts'
import type { BridgeSettings } from './ports.ts'

/** Largest keepalive in seconds that CONNECT can carry (MQTT 3.1.1 §3.1.2.10). */
const MAX_KEEPALIVE = 65_535

type Settings = BridgeSettings & ConnectionSettings
type Properties = NonNullable<IClientOptions['properties']>

export interface Way {
  readonly version: ProtocolVersion
  /** The upstream is told that this is a bridge, by a bit that Mosquitto has added to MQTT 3.1.1. */
  readonly isBridge?: boolean
}

/** What is tried at one address, one after the other, as long as it is refused. */
export function waysOf(settings: Settings, memory: LinkMemory = {}): readonly Way[] {
  if (settings.version === '5') return [{ version: 5 }]
  const saysBridge = settings.tryPrivate !== false && memory.isPlain !== true
  const old: Way[] = saysBridge ? [{ version: 4, isBridge: true }, { version: 4 }] : [{ version: 4 }]
  return settings.version !== 'auto' || memory.version === 4 ? old : [{ version: 5 }, ...old]
}

/** `asked` is what the bridge's session wants. */
export function connectOptions(
  settings: Settings,
  { version, isBridge = false }: Way,
  asked: Partial<IClientOptions> = {},
): IClientOptions {
  const { clientId, username, password, keepalive, cleanSession } = settings
  const { properties, ...options } = asked
  return {
    protocolVersion: version,
    clientId,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    clean: true,
    keepalive: Math.min(MAX_KEEPALIVE, Math.ceil(keepalive / 1000)),
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    ...options,
    ...(cleanSession === true ? { clean: true } : {}),
    // CONNECT is touched up before it is sent.
    manualConnect: isBridge,
    ...(version === 5 ? { properties: propertiesFor(settings, properties) } : {}),
  }
}

function propertiesFor(settings: Settings, asked: Partial<Properties> = {}): Properties {
  const { receiveMaximum, sessionExpiry, cleanSession, tryPrivate, maxTopicAlias = TOPIC_ALIASES } = settings
  const { sessionExpiryInterval, userProperties, ...rest } = asked
  const isKept = cleanSession !== true && sessionExpiryInterval !== undefined
  const expiry = isKept
    ? sessionExpiry === undefined
      ? sessionExpiryInterval
      : Math.round(sessionExpiry / 1000)
    : undefined
  return {
    ...rest,
    ...(userProperties === undefined || tryPrivate === false ? {} : { userProperties }),
    ...(receiveMaximum === undefined ? {} : { receiveMaximum }),
    ...(expiry === undefined ? {} : { sessionExpiryInterval: expiry }),
    // 0 and absent are the same [MQTT-3.1.2-26].
    ...(maxTopicAlias > 0 ? { topicAliasMaximum: maxTopicAlias } : {}),
  } as Properties
}
