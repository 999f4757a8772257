/**
 * Aedes' persistence contract (aedes-persistence 10), as an engine of others keeps it, and the contract of
 * `mqemitter`. Promises resolve when the engine has what it was given.
 */
import type { Readable } from 'node:stream'
import type { Subscription, Will } from '../broker/ports.ts'

export interface ClientRef {
  readonly id: string
  /** Of a will: the broker that the client was connected to. */
  readonly brokerId?: string
}

/** A packet as the contract passes it. */
export interface ContractPacket {
  readonly cmd?: string
  readonly topic?: string
  readonly payload?: Buffer | string
  readonly qos?: number
  readonly retain?: boolean
  readonly brokerId?: string | undefined
  readonly brokerCounter?: number
  readonly messageId?: number | null | undefined
  readonly clientId?: string | null
  /** Meant for the properties of MQTT 5, and passed on as it is. */
  readonly properties?: object
}

export interface Contract {
  setup(broker: object): Promise<void>
  storeRetained(packet: object): Promise<void>
  createRetainedStream(filter: string): Readable
  createRetainedStreamCombi(filters: string[]): Readable
  addSubscriptions(client: ClientRef, subscriptions: Subscription[]): Promise<void>
  removeSubscriptions(client: ClientRef, filters: string[]): Promise<void>
  cleanSubscriptions(client: ClientRef): Promise<void>
  subscriptionsByClient(client: ClientRef): Promise<Subscription[]>
  subscriptionsByTopic(topic: string): Promise<object[]>
  countOffline(): Promise<{ subsCount: number; clientsCount: number }>
  getClientList(filter: string): Readable
  outgoingEnqueue(subscription: { clientId: string }, packet: ContractPacket): Promise<void>
  outgoingEnqueueCombi(subscriptions: { clientId: string }[], packet: ContractPacket): Promise<void>
  outgoingUpdate(client: ClientRef, packet: ContractPacket): Promise<unknown>
  outgoingClearMessageId(client: ClientRef, packet: ContractPacket): Promise<unknown>
  outgoingStream(client: ClientRef): Readable
  incomingStorePacket(client: ClientRef, packet: ContractPacket): Promise<void>
  incomingGetPacket(client: ClientRef, packet: ContractPacket): Promise<object>
  incomingDelPacket(client: ClientRef, packet: ContractPacket): Promise<void>
  putWill(client: ClientRef, will: object): Promise<void>
  getWill(client: ClientRef): Promise<Will | undefined>
  delWill(client: ClientRef): Promise<Will | undefined>
  streamWill(brokers?: Record<string, unknown>): Readable
  destroy(): Promise<void>
}

export interface ContractEmitter {
  on(topic: string, listener: (message: never, done: () => void) => void, done?: () => void): unknown
  emit(message: { topic: string }, done: (error?: Error) => void): unknown
  readonly state: { on(event: 'error', listener: (error: Error) => void): unknown }
}
