/** Topic aliases (MQTT 5 §3.3.2.3.4): a number that stands for a topic on one connection, in one direction. */
import { MalformedPacketError, protocolError } from '../mqtt/malformed.ts'
import type { PublishView } from '../mqtt/publish.ts'
import type { SentProperties } from '../mqtt/publish-properties.ts'
import { ReasonCode } from '../mqtt/reason-codes.ts'
import type { TopicName } from '../mqtt/topic-name.ts'

/** Aliases that a client may use towards the gateway: a sensor has a handful of topics. */
export const TOPIC_ALIAS_MAXIMUM = 64
/** Aliases that the gateway uses towards a client that allows more: a subscriber to everything has many topics. */
const MAX_ASSIGNED = 1_024
/** Characters of all topics that have one: room for as many of ordinary length. */
const MAX_ASSIGNED_LENGTH = 64 * MAX_ASSIGNED
/** A topic that is shorter than its alias property (3 bytes) is not worth one. */
const MIN_TOPIC_BYTES = 4

/** The aliases that a client has given. */
export class ReceivedAliases {
  readonly #max: number
  readonly #names: (TopicName | undefined)[] = []
  #bytes = 0

  /** `max` is the Topic Alias Maximum that the client was told. */
  constructor(max: number) {
    this.#max = max
  }

  /** Bytes that are held for them. */
  get bytes(): number {
    return this.#bytes
  }

  /** Puts the topic that an alias stands for into `packet`, or remembers the one that comes with it. */
  resolve(packet: PublishView): void {
    const { topicAlias } = packet
    if (topicAlias === 0) return
    // [MQTT-3.3.2-9]
    if (topicAlias > this.#max) {
      throw new MalformedPacketError(
        `topic alias ${topicAlias} is over the maximum of ${this.#max}`,
        ReasonCode.TOPIC_ALIAS_INVALID,
      )
    }
    if (packet.topic !== '') {
      this.#bytes += sizeOf(packet.name) - sizeOf(this.#names[topicAlias])
      this.#names[topicAlias] = packet.name
      return
    }
    const known = this.#names[topicAlias]
    if (known === undefined) throw protocolError(`topic alias ${topicAlias} stands for no topic`)
    packet.name = known
  }
}

/** As a string and as on the wire. */
function sizeOf(name: TopicName | undefined): number {
  return name === undefined ? 0 : 2 * name.bytes.length
}

/** The aliases that the gateway gives a client, in the order in which topics come. */
export class AssignedAliases {
  readonly #max: number
  readonly #aliases = new Map<string, number>()
  #length = 0

  /** `max` is the client's Topic Alias Maximum. */
  constructor(max: number) {
    this.#max = Math.min(max, MAX_ASSIGNED)
  }

  /** The alias of `topic`: negative when it is new and the topic must be sent with it, 0 when there is none. */
  find(topic: string, topicBytes: Buffer): number {
    const known = this.#aliases.get(topic)
    if (known !== undefined) return known
    if (this.#aliases.size >= this.#max || topicBytes.length - 2 < MIN_TOPIC_BYTES) return 0
    if (this.#length + topic.length > MAX_ASSIGNED_LENGTH) return 0
    this.#length += topic.length
    const alias = this.#aliases.size + 1
    this.#aliases.set(topic, alias)
    return -alias
  }

  /** The packet that was to bring the alias of `topic` is not sent after all. */
  forget(topic: string, sent: SentProperties | undefined): void {
    if (sent === undefined || sent.topicAlias === 0 || sent.withoutTopic === true) return
    this.#aliases.delete(topic)
    this.#length -= topic.length
  }
}
