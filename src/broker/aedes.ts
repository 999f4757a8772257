/**
 * What the hub relies on of aedes. Aedes' own types cover what its users see; a hub that brings its own
 * sessions also uses the client registry, the emitter and the persistence, which are as stable (they
 * are what every plug-in of aedes is written against) but not typed.
 */
import type { EventEmitter } from 'node:events'
import { Aedes } from 'aedes'
import type { Properties } from '../mqtt/properties.ts'
import type { Emitter, Listener, Message, Persistence, Subscription } from './ports.ts'
import type { Session } from './session.ts'

type Callback = (error?: Error | null) => void

/** A packet as users of aedes publish it. */
export interface PublishRequest {
  topic: string
  payload?: Buffer | string
  qos?: 0 | 1 | 2
  retain?: boolean
  /** MQTT 5: those that are passed on, and the message expiry interval. */
  properties?: Properties
  /** As `properties`, in wire form and seconds: of a will that the store kept. */
  forwarded?: Buffer | undefined
  messageExpiryInterval?: number | undefined
  /** Who published it, when that is not the gateway itself. */
  clientId?: string | undefined
  userName?: string | undefined
  /** Of a will that a crash left behind: the listener that its client came in by. */
  listener?: string | undefined
}

/** Hooks of aedes. Each is called with the session, or null for what the gateway itself does. */
export interface Hooks {
  preConnect(session: Session, packet: object, callback: (error: Error | null, success: boolean) => void): void
  authenticate(
    session: Session,
    userName: string | undefined,
    password: Buffer | undefined,
    callback: (error: (Error & { returnCode?: number }) | null, success: boolean) => void,
  ): void
  authorizePublish(session: Session | null, message: Message, callback: Callback): void
  authorizeSubscribe(
    session: Session,
    subscription: Subscription,
    callback: (error: Error | null, subscription?: Subscription | null) => void,
  ): void
  authorizeForward(session: Session, message: Message): Message | null | undefined
  published(message: Message, session: Session | null, callback: Callback): void
}

export interface AedesOptions extends Partial<Hooks> {
  id?: string
  mq: Emitter
  persistence: Persistence
  /** Milliseconds. After four of them, wills that a crash left behind are published. */
  heartbeatInterval: number
}

export interface AedesBase extends EventEmitter, Hooks {
  readonly id: string
  readonly mq: Emitter
  readonly persistence: Persistence
  readonly closed: boolean
  connectedClients: number
  /** Sessions with a connection, by client identifier. Has no prototype. */
  readonly clients: Record<string, Session | undefined>
  handle: unknown
  listen(): Promise<void>
  close(callback: () => void): void
  publish(packet: PublishRequest, client?: unknown, done?: Callback): void
  subscribe(filter: string, listener: Listener, done?: () => void): void
  unsubscribe(filter: string, listener: Listener, done?: () => void): void
  registerClient(session: Session): void
  deleteClient(clientId: string): void
  unregisterClient(session: Session): void
}

export const AedesBase = Aedes as unknown as new (options: AedesOptions) => AedesBase
