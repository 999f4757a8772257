/**
 * What a bridge needs of the broker, and what it is to whoever starts it. A bridge is a persistent
 * session of the hub whose other end is a connection to an upstream broker: its queue is the spool.
 */
import type { SessionQueue } from '../broker/ports.ts'

/** What the hub gives a bridge. */
export interface BridgeBroker {
  /**
   * Opens, and creates when new, the persistent session `clientId` with exactly these subscriptions.
   * What matches waits in its queue from now on, also across restarts, and also what was published with
   * QoS 0. Resolves when the session and its subscriptions are durable.
   */
  openSpool(clientId: string, filters: readonly SpoolFilter[]): Promise<SessionQueue>
}

export interface SpoolFilter {
  readonly filter: string
  readonly qos: 1
}

/** One rule, as Mosquitto's `topic FILTER out QOS LOCAL-PREFIX REMOTE-PREFIX`. Has the shape of the configuration's. */
export interface BridgeRule {
  readonly filter: string
  readonly qos: 0 | 1
  readonly localPrefix?: string | undefined
  readonly remotePrefix?: string | undefined
}

/** Has the shape of the configuration's bridges. */
export interface BridgeSettings {
  readonly name: string
  /** `mqtt://host:port`. */
  readonly url: string
  readonly clientId: string
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** Milliseconds; sent upstream in whole seconds. 0 sends no pings. */
  readonly keepalive: number
  /** QoS 1 messages sent upstream and not acknowledged yet. */
  readonly maxInflight: number
  /** Milliseconds between two attempts to connect: shortest and longest. */
  readonly retry: { readonly min: number; readonly max: number }
  readonly out: readonly BridgeRule[]
}

export interface BridgeStatus {
  readonly connected: boolean
  /** Messages in the spool: waiting, or sent and not acknowledged. */
  readonly waiting: number
  /** Messages that the upstream has acknowledged (QoS 1) or that were handed to its socket (QoS 0), since the start. */
  readonly sent: number
  /** Messages removed because no rule maps their topic, since the start. */
  readonly unmapped: number
}

/** Client identifiers with this prefix are the gateway's own; the hub must refuse them to clients. */
export const SPOOL_CLIENT_PREFIX = '$bridge/'
