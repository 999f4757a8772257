/**
 * An application message on its way through the gateway. It has the shape of aedes' packets, so that
 * hooks and plug-ins written for aedes can read it; one class, so that the hot path sees one shape.
 */
import type { QoS } from './packets.ts'
import { topicBytesOf } from './publish.ts'

export interface MessageFields {
  topic: string
  payload: Buffer
  qos: QoS
  retain: boolean
  dup?: boolean
  /** The topic as on the wire: UTF-8 behind two length bytes. Made from `topic` when absent. */
  topicBytes?: Buffer | undefined
  /** Client identifier of the publisher; absent for messages that the gateway itself publishes. */
  clientId?: string | undefined
  /** User name of the publisher, if it gave one. */
  userName?: string | undefined
  /** MQTT 5: the properties that are passed on, in wire form without their length. */
  forwarded?: Buffer | undefined
  /** MQTT 5: when the message expires, in milliseconds of the store's time. */
  expiresAt?: number | undefined
}

export class Message {
  readonly cmd = 'publish' as const
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  readonly topicBytes: Buffer
  readonly clientId: string | undefined
  readonly userName: string | undefined
  /** Set anew only before the message is routed: a gateway's bridges know it by what stands first in it. */
  forwarded: Buffer | undefined
  readonly expiresAt: number | undefined
  /** Set by aedes' contracts only (a cluster of brokers tells its messages apart by these two). */
  brokerId: string | undefined = undefined
  brokerCounter = 0

  constructor(fields: MessageFields) {
    this.topic = fields.topic
    this.payload = fields.payload
    this.qos = fields.qos
    this.retain = fields.retain
    this.dup = fields.dup === true
    this.topicBytes = fields.topicBytes ?? topicBytesOf(fields.topic)
    this.clientId = fields.clientId
    this.userName = fields.userName
    this.forwarded = fields.forwarded
    this.expiresAt = fields.expiresAt
  }

  /** Bytes of topic, payload and properties: what limits count. */
  get size(): number {
    return this.topicBytes.length + this.payload.length + (this.forwarded === undefined ? 0 : this.forwarded.length)
  }

  /** A copy that holds no view of a larger buffer: for messages that stay in memory long. */
  detached(): Message {
    const { topic, payload, qos, retain, clientId, userName, forwarded, expiresAt } = this
    return new Message({
      topic,
      payload: Buffer.from(payload),
      qos,
      retain,
      clientId,
      userName,
      forwarded: forwarded === undefined ? undefined : Buffer.from(forwarded),
      expiresAt,
    })
  }
}
