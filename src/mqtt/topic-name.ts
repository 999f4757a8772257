/** A topic name: as text, as on the wire, and what was found out about it. Messages that come again share one (`topic-cache.ts`). */
import { isDollarTopic, topicNameFault } from './topics.ts'

export class TopicName {
  readonly text: string
  /** It begins with '$': no wildcard at the beginning matches it [MQTT-4.7.2-1]. */
  readonly isDollar: boolean
  /** Who listens to it, as `emitter` has found; it alone writes this, and takes it back when others may listen. */
  listeners: unknown = null
  emitter: object | null = null
  #bytes: Buffer | undefined
  /** Levels that were allowed when it was last found to be without fault. */
  #faultless = -1

  /** `bytes` are those of the wire, if they are at hand; nobody writes to them any more. */
  constructor(text: string, bytes?: Buffer) {
    this.text = text
    this.isDollar = isDollarTopic(text)
    this.#bytes = bytes
  }

  /** UTF-8 behind two length bytes. Shared, so never written to. */
  get bytes(): Buffer {
    this.#bytes ??= bytesOf(this.text)
    return this.#bytes
  }

  /** As `topicNameFault`. */
  fault(maxLevels: number): string | undefined {
    if (this.#faultless === maxLevels) return undefined
    const fault = topicNameFault(this.text, maxLevels)
    if (fault === undefined) this.#faultless = maxLevels
    return fault
  }
}

function bytesOf(text: string): Buffer {
  const length = Buffer.byteLength(text)
  // Not from Node's pool: what is kept long would keep all that shares a piece of the pool with it.
  const bytes = Buffer.allocUnsafeSlow(2 + length)
  bytes.writeUInt16BE(length)
  bytes.write(text, 2)
  return bytes
}
