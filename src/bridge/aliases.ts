/**
 * Topic aliases (MQTT 5 §3.3.2.3.4) of one connection: a number in place of a topic name that was sent before. They end
 * with their connection, and so does each of these; what is repeated on the next one has its name again.
 */

/** Bytes of a topic name below which an alias saves nothing: the property itself takes three. */
const WORTH_IT = 8

/** What of a topic name goes into a PUBLISH. */
export interface AliasedTopic {
  /** Empty when the upstream knows the name by its alias. */
  readonly topic: string
  readonly alias: number | undefined
}

/**
 * Names that the upstream was told: the first ones of a connection, as many as it allows. Readings come round and round, so
 * whoever made room for the latest would find none again.
 */
export class SentAliases {
  readonly #max: number
  readonly #aliases = new Map<string, number>()
  readonly #free: number[] = []

  /** `max` is what the upstream allows; 0 for none. */
  constructor(max: number) {
    this.#max = max
  }

  /** For the next PUBLISH with this topic name, which must be sent. */
  take(topic: string): AliasedTopic {
    const known = this.#aliases.get(topic)
    if (known !== undefined) return { topic: '', alias: known }
    if (topic.length < WORTH_IT) return { topic, alias: undefined }
    const alias = this.#free.pop() ?? this.#aliases.size + 1
    if (alias > this.#max) return { topic, alias: undefined }
    this.#aliases.set(topic, alias)
    return { topic, alias }
  }

  /** The upstream has refused a message with this name, and perhaps the alias in it. */
  forget(topic: string): void {
    const alias = this.#aliases.get(topic)
    if (alias === undefined) return
    this.#aliases.delete(topic)
    this.#free.push(alias)
  }
}

/** Names that the upstream has told us. */
export class ReceivedAliases {
  readonly #names = new Map<number, string>()

  /**
   * The topic name of a PUBLISH that came, or undefined when its alias stands for none; MQTT.js, which knows how many
   * are allowed, ends the connection then [MQTT-3.3.2-8, -10].
   */
  topicOf(topic: string, alias: number | undefined): string | undefined {
    if (alias === undefined) return topic
    if (topic !== '') this.#names.set(alias, topic)
    return this.#names.get(alias)
  }
}
