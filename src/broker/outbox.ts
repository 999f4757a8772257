/**
 * What goes out on one connection. Packets of one turn of the event loop gather in one buffer and leave
 * with one write. The buffer starts small, since most sessions send one small packet at a time, and is
 * given up when it has left: an idle session holds none. Large payloads are passed on as they are.
 */
import type { Duplex } from 'node:stream'
import { type AckType, ackLength, writeAck } from '../mqtt/acks.ts'
import type { QoS } from '../mqtt/packets.ts'
import { publishLength, writePublish, writePublishHead } from '../mqtt/publish.ts'
import type { SentProperties } from '../mqtt/publish-properties.ts'

/** A buffer starts with so many bytes, or with what the last turn needed… */
const MIN_BUFFER = 2 * 1024
/** …and grows no larger: another one follows it. */
const MAX_BUFFER = 64 * 1024
/** Payloads from this size on are not copied. */
const PASS_THROUGH = 16 * 1024

/** Bytes of a read that filled Node's buffer: there is more to be read. */
const FULL_READ = 64 * 1024
/** While more is there, outboxes that hold no more than this on average wait for it: a write of little costs as much as one of much… */
const WORTH_WRITING = 16 * 1024
/** …but for no more turns than this, a millisecond or so each. */
const MAX_TURNS_WAITED = 3

/** Flushes the outboxes that were written to, once a turn, or less often when a flood comes in that many have little of each. */
export class FlushTurn {
  #waiting: Outbox[] = []
  #isMoreToRead = false
  #turnsWaited = 0
  readonly #flush = () => {
    const waiting = this.#waiting
    if (this.#isMoreToRead && this.#turnsWaited < MAX_TURNS_WAITED && isLittle(waiting)) {
      this.#isMoreToRead = false
      this.#turnsWaited++
      setImmediate(this.#flush)
      return
    }
    this.#waiting = []
    this.#isMoreToRead = false
    this.#turnsWaited = 0
    for (const outbox of waiting) outbox.flush()
  }

  add(outbox: Outbox): void {
    if (this.#waiting.push(outbox) === 1) setImmediate(this.#flush)
  }

  /** So many bytes came in at once. */
  read(bytes: number): void {
    if (bytes >= FULL_READ) this.#isMoreToRead = true
  }
}

function isLittle(waiting: readonly Outbox[]): boolean {
  let bytes = 0
  for (const { gathered } of waiting) bytes += gathered
  return bytes < WORTH_WRITING * waiting.length
}

export class Outbox {
  readonly #stream: Duplex
  readonly #turn: FlushTurn
  readonly #memory: { moved(bytes: number): void }
  readonly #stats: { packetsSent: number; bytesSent: number }
  readonly #onFlushed: () => void
  readonly #onAck: ((type: AckType, packetId: number, reasonCode: number) => void) | null
  #buffer: Buffer | null = null
  /** Of `#buffer`: what lies before is in `#chunks` already… */
  #from = 0
  /** …and what lies from here on is free. */
  #used = 0
  /** Full buffers and large payloads that go before `#buffer`; mostly there are none. */
  #chunks: Buffer[] | null = null
  #gathered = 0
  /** Bytes among them that are not copied. */
  #passed = 0
  /** Packets among what was gathered. */
  #packets = 0
  #lastTurn = MIN_BUFFER
  #scheduled = false

  constructor(deps: {
    stream: Duplex
    turn: FlushTurn
    memory: { moved(bytes: number): void }
    /** Counted when a turn's packets leave. */
    stats: { packetsSent: number; bytesSent: number }
    onFlushed: () => void
    /** Told of each acknowledgement, when somebody wants to know. */
    onAck: ((type: AckType, packetId: number, reasonCode: number) => void) | null
  }) {
    this.#stream = deps.stream
    this.#turn = deps.turn
    this.#memory = deps.memory
    this.#stats = deps.stats
    this.#onFlushed = deps.onFlushed
    this.#onAck = deps.onAck
  }

  /** Bytes that leave with the next flush. */
  get gathered(): number {
    return this.#gathered
  }

  /** Bytes that the socket has not taken yet. */
  get unsent(): number {
    return this.#gathered + this.#stream.writableLength
  }

  /** `sent` in MQTT 5 only. */
  publish(
    packet: { topicBytes: Buffer; payload: Buffer },
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    sent: SentProperties | undefined,
  ): void {
    const { payload, topicBytes } = packet
    const length = publishLength(topicBytes.length - 2, payload.length, qos, sent)
    if (payload.length < PASS_THROUGH) {
      const buffer = this.#room(length)
      writePublish(buffer, this.#used, packet, qos, retain, dup, packetId, sent)
      this.#wrote(length)
      return
    }
    const head = length - payload.length
    writePublishHead(this.#room(head), this.#used, packet, qos, retain, dup, packetId, sent)
    this.#wrote(head)
    this.#pass(payload)
  }

  /** A reason in MQTT 5 only. */
  ack(type: AckType, packetId: number, reasonCode = 0, reasonString?: string): void {
    this.#onAck?.(type, packetId, reasonCode)
    const length = ackLength(reasonCode, reasonString)
    writeAck(this.#room(length), this.#used, type, packetId, reasonCode, reasonString)
    this.#wrote(length)
  }

  /** Any other packet, whole. */
  packet(bytes: Buffer): void {
    this.#room(bytes.length).set(bytes, this.#used)
    this.#wrote(bytes.length)
  }

  /** Hands everything to the socket. */
  flush(): void {
    this.#scheduled = false
    if (this.#gathered === 0) return
    this.#lastTurn = Math.min(this.#gathered - this.#passed, MAX_BUFFER)
    const chunks = this.#chunks
    const last = this.#used > this.#from ? (this.#buffer as Buffer).subarray(this.#from, this.#used) : null
    this.#buffer = null
    this.#from = 0
    this.#used = 0
    this.#chunks = null
    this.#passed = 0
    const packets = this.#packets
    const bytes = this.#gathered
    this.#packets = 0
    this.#gathered = 0
    const stream = this.#stream
    if (stream.destroyed || stream.writableEnded) return
    this.#stats.packetsSent += packets
    this.#stats.bytesSent += bytes
    if (chunks === null) {
      stream.write(last)
    } else {
      stream.cork()
      for (const chunk of chunks) stream.write(chunk)
      if (last !== null) stream.write(last)
      stream.uncork()
    }
    this.#onFlushed()
  }

  #room(length: number): Buffer {
    const buffer = this.#buffer
    if (buffer !== null && this.#used + length <= buffer.length) return buffer
    if (buffer === null) {
      this.#buffer = Buffer.allocUnsafe(Math.max(MIN_BUFFER, this.#lastTurn, length))
    } else if (buffer.length < MAX_BUFFER) {
      const kept = this.#used - this.#from
      this.#buffer = Buffer.allocUnsafe(Math.max(Math.min(buffer.length * 4, MAX_BUFFER), kept + length))
      buffer.copy(this.#buffer, 0, this.#from, this.#used)
      this.#from = 0
      this.#used = kept
    } else {
      if (this.#used > this.#from) this.#cut()
      this.#from = 0
      this.#used = 0
      this.#buffer = Buffer.allocUnsafe(Math.max(MAX_BUFFER, length))
    }
    return this.#buffer as Buffer
  }

  /** What was written so far leaves before what comes now. */
  #cut(): Buffer[] {
    this.#chunks ??= []
    this.#chunks.push((this.#buffer as Buffer).subarray(this.#from, this.#used))
    this.#from = this.#used
    return this.#chunks
  }

  #pass(payload: Buffer): void {
    this.#cut().push(payload)
    this.#passed += payload.length
    this.#gathered += payload.length
    this.#memory.moved(payload.length)
  }

  /** Called once for each packet, whether its payload goes with it or is passed on. */
  #wrote(length: number): void {
    this.#packets++
    this.#used += length
    this.#gathered += length
    this.#memory.moved(length)
    if (this.#scheduled) return
    this.#scheduled = true
    this.#turn.add(this)
  }
}
