/**
 * What the parts of the gateway know of themselves, put together for `observe/`. Part of the composition root, with
 * `main.ts`. Asked every ten seconds and whenever somebody looks, so nothing here goes through messages or
 * subscriptions: a thousand clients take a fraction of a millisecond.
 */
import { type BridgeState, SPOOL_CLIENT_PREFIX } from './bridge/ports.ts'
import type { Hub } from './broker/hub.ts'
import type { ContractPersistence } from './cluster/persistence.ts'
import type { BridgeConfig } from './config/schema.ts'
import type { Gate } from './listen/gate.ts'
import type { Gathered } from './observe/observatory.ts'
import type { CertificateFigures, CertificateFile, DeviceFigures, QueueFigures, StoreFigures } from './observe/ports.ts'
import { LevelPersistence } from './store/persistence.ts'

export interface Sources {
  readonly version: string
  readonly startedAt: number
  readonly uptime: number
  readonly hub: Hub
  readonly persistence: LevelPersistence | ContractPersistence
  readonly gate: Gate
  /** Named `bridge …`. */
  readonly bridges: readonly { readonly name: string; readonly state: BridgeState }[]
  readonly devices: readonly DeviceFigures[]
  /** Addresses of listeners that should be open and are not. */
  readonly closed: readonly string[]
  /** Of listeners. */
  readonly certificates: readonly CertificateFigures[]
}

export function gather(sources: Sources): Gathered {
  const { version, startedAt, uptime, hub, persistence, gate, bridges, devices, closed, certificates } = sources
  const { clients, subscriptions, unsent } = sessionsOf(hub, persistence)
  const trouble = persistence instanceof LevelPersistence ? persistence.trouble : undefined
  return {
    version,
    startedAt,
    uptime,
    traffic: hub.stats,
    clients: { ...clients, most: hub.stats.mostClients },
    subscriptions,
    connections: {
      open: gate.connections.open,
      unsent,
      refused: { limit: gate.connections.refused, address: gate.addresses.refused },
    },
    queues: queuesOf(persistence),
    store: storeOf(persistence),
    bridges: bridges.map(bridge => {
      const name = bridge.name.replace(/^bridge /, '')
      const { connected, waiting, bytes, oldest, sent, received, paused, rateOut, rateIn, ...rest } = bridge.state
      const { dropped, thinned, expired, dead, drain } = rest
      const lost = { dropped, thinned, expired, dead }
      return { name, connected, waiting, bytes, oldest, sent, received, paused, rateOut, rateIn, ...lost, drain }
    }),
    devices,
    certificates,
    troubles: [
      ...(trouble === undefined ? [] : [trouble]),
      ...closed.map(address => `the listener ${address} is not open`),
    ],
  }
}

/** Sessions that the store keeps are counted there, with their subscriptions; here, those that end with their connection. */
function sessionsOf(hub: Hub, persistence: Sources['persistence']) {
  const kept = keptSessions(persistence)
  let connected = 0
  let connectedKept = 0
  let unsent = 0
  let { plain, shared } = kept
  for (const session of Object.values(hub.clients)) {
    if (session === undefined) continue
    connected++
    unsent += session.outbox.unsent
    if (session.queue !== null) connectedKept++
    if (session.queue !== null && kept.hasSubscriptions) continue
    const { count, sharedCount } = session.subscribing
    plain += count - sharedCount
    shared += sharedCount
  }
  const disconnected = Math.max(0, kept.sessions - connectedKept)
  return { clients: { connected, disconnected }, subscriptions: { plain, shared }, unsent }
}

function keptSessions(persistence: Sources['persistence']) {
  let spools = 0
  let sessions = 0
  for (const clientId of persistence.queues.clientIds()) {
    sessions++
    if (clientId.startsWith(SPOOL_CLIENT_PREFIX)) spools++
  }
  if (!(persistence instanceof LevelPersistence)) {
    return { sessions: sessions - spools, plain: 0, shared: 0, hasSubscriptions: false }
  }
  const { subscriptions: plain, sharedSubscriptions: shared } = persistence.stats
  return { sessions: sessions - spools, plain, shared, hasSubscriptions: true }
}

function queuesOf(persistence: Sources['persistence']): QueueFigures {
  if (persistence instanceof LevelPersistence) {
    const { messages, messageBytes: bytes, retained, retainedBytes, dropped, expired, refused } = persistence.stats
    const oldest = oldestOf(persistence, clientId => !clientId.startsWith(SPOOL_CLIENT_PREFIX))
    return { messages, bytes, oldest, retained, retainedBytes, dropped, expired, refused }
  }
  const { waiting: messages, retained, dropped, refused } = persistence.stats
  return { messages, bytes: 0, oldest: undefined, retained, retainedBytes: 0, dropped, expired: 0, refused }
}

function oldestOf(persistence: Sources['persistence'], isMeant: (clientId: string) => boolean): number | undefined {
  return persistence instanceof LevelPersistence ? persistence.oldest(isMeant) : undefined
}

function storeOf(persistence: Sources['persistence']): StoreFigures | undefined {
  if (!(persistence instanceof LevelPersistence)) return undefined
  const { commits, syncs, failures, elided, bytes, damaged, latency } = persistence.stats
  return { commits, syncs, failures, elided, bytes, damaged, latency, lossWindow: persistence.lossWindow }
}

/** The certificates that bridges show to their upstreams. */
export function bridgeCertificates(bridges: readonly BridgeConfig[]): CertificateFile[] {
  return bridges.flatMap(({ name, tls }) => (tls?.cert === undefined ? [] : [{ of: 'bridge', name, file: tls.cert }]))
}
