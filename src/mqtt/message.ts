/**
 * An application message on its way through the gateway. It has the shape of aedes' packets, so that
 * hooks and plug-ins written for aedes can read it; one class, so that the hot path sees one shape.
 */
import type { QoS } from './packets.ts'
import { type PublishView, topicBytesOf } from './publish.ts'
import { TopicName } from './topic-name.ts'

interface MessageFields {
  topic: string
  /** The topic as on the wire: UTF-8 behind two length bytes. Made from `topic` when absent. */
  topicBytes?: Buffer | undefined
  payload: Buffer
  qos: QoS
  retain: boolean
  dup?: boolean
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
  /** The same, and what is known of it. */
  readonly name: TopicName
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  readonly clientId: string | undefined
  readonly userName: string | undefined
  /** Set anew only before the message is routed: a gateway's bridges know it by what stands first in it. */
  forwarded: Buffer | undefined
  readonly expiresAt: number | undefined
  /** Set by aedes' contracts only (a cluster of brokers tells its messages apart by these two). */
  brokerId: string | undefined = undefined
  brokerCounter = 0
  /** What it came in, if it may go on like that. */
  #packet: PublishView | undefined
  /** Undefined until somebody asks for it: most messages go on as they came. */
  #payload: Buffer | undefined

  // Not an object with names: one more for each message.
  private constructor(
    name: TopicName,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    clientId: string | undefined,
    userName: string | undefined,
    forwarded: Buffer | undefined,
    expiresAt: number | undefined,
    packet: PublishView | undefined,
    payload: Buffer | undefined,
  ) {
    this.topic = name.text
    this.name = name
    this.qos = qos
    this.retain = retain
    this.dup = dup
    this.clientId = clientId
    this.userName = userName
    this.forwarded = forwarded
    this.expiresAt = expiresAt
    this.#packet = packet
    this.#payload = payload
  }

  /** Throws a RangeError when the topic is longer than the wire allows. */
  static of(fields: MessageFields): Message {
    const { topic, topicBytes, payload, qos, retain, dup, clientId, userName, forwarded, expiresAt } = fields
    const name = new TopicName(topic, topicBytes ?? topicBytesOf(topic))
    return new Message(name, qos, retain, dup === true, clientId, userName, forwarded, expiresAt, undefined, payload)
  }

  /** What a client has sent; the rest as in `of`. */
  static arrived(
    packet: PublishView,
    clientId: string,
    userName: string | undefined,
    expiresAt: number | undefined,
  ): Message {
    const { name, qos, retain, properties } = packet
    // One that cannot go on as it came may wait: without all that its packet holds.
    const isPlain = packet.plainIn !== 0
    const came = isPlain ? packet : undefined
    const payload = isPlain ? undefined : packet.payload
    return new Message(name, qos, retain, false, clientId, userName, properties, expiresAt, came, payload)
  }

  /** The topic as on the wire: UTF-8 behind two length bytes. Shared, so never written to. */
  get topicBytes(): Buffer {
    return this.name.bytes
  }

  get payload(): Buffer {
    this.#payload ??= (this.#packet as PublishView).payload
    return this.#payload
  }

  /** For hooks of aedes. */
  set payload(payload: Buffer) {
    this.#payload = payload
    this.#packet = undefined
  }

  /** Bytes. */
  get payloadLength(): number {
    return this.#packet === undefined ? (this.#payload as Buffer).length : this.#packet.payloadLength
  }

  /**
   * The packet that it came in, when that is what clients of this version are sent at QoS 0, with 4 for all before 5. Only where
   * nothing is added for them.
   */
  plainFor(version: 0 | 4 | 5): PublishView | undefined {
    const packet = this.#packet
    return packet !== undefined && version !== 0 && packet.plainIn === version ? packet : undefined
  }

  /** Bytes of topic, payload and properties: what limits count. */
  get size(): number {
    return this.topicBytes.length + this.payloadLength + (this.forwarded === undefined ? 0 : this.forwarded.length)
  }

  /** A copy that holds no view of a larger buffer: for messages that stay in memory long. */
  detached(): Message {
    const { name, payload, qos, retain, clientId, userName, expiresAt } = this
    const forwarded = this.forwarded === undefined ? undefined : Buffer.from(this.forwarded)
    const own = Buffer.from(payload)
    return new Message(name, qos, retain, false, clientId, userName, forwarded, expiresAt, undefined, own)
  }
}
