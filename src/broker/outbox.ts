/**
 * What goes out on one connection. Packets of one turn of the event loop gather in one buffer and leave
 * with one write. The buffer starts small, since most sessions send one small packet at a time, and is
 * given up when it has left: an idle session holds none. Large payloads are passed on as they are.
 */
import type { Duplex } from 'node:stream'
import { type AckType, ackLength, writeAck } from '../mqtt/acks.ts'
import type { QoS } from '../mqtt/packets.ts'
import { type PublishView, publishLength, writePlainHead, writePublish, writePublishHead } from '../mqtt/publish.ts'
import type { SentProperties } from '../mqtt/publish-properties.ts'

/** A buffer starts with so many bytes, or with what the last turn needed… */
const MIN_BUFFER = 2 * 1024
/** …and grows no larger: another one follows it. */
const MAX_BUFFER = 64 * 1024
/** Payloads, and bodies, from this size on are not copied. */
const PASS_THROUGH = 16 * 1024
/** Packets that go on as they came are not copied if they are this part of the memory that stays for them: else a socket that does not drain would hold much for little. */
const WORTH_HOLDING = 4

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
  // What each packet needs stands first: the processor fetches memory in pieces.
  /**
   * Where the last packet came from that went on as it came: what lies there from `#runFrom` to `#runEnd` is the last that was
   * gathered. One that comes right behind it needs no copying, whoever else it is for.
   */
  #run: Buffer | null = null
  #runEnd = 0
  #gathered = 0
  /** Packets among what was gathered. */
  #packets = 0
  #scheduled = false
  readonly #memory: { moved(bytes: number): void }
  /** Bytes that the socket had not taken when the first of them came. */
  #behind = 0
  #runFrom = 0
  #buffer: Buffer | null = null
  /** Of `#buffer`: what lies from here on is free… */
  #used = 0
  /** …and what lies before is in `#chunks` already. */
  #from = 0
  /** Full buffers and what is passed on that go before `#buffer`; mostly there are none. */
  #chunks: Buffer[] | null = null
  /** Bytes among what was gathered that are not copied. */
  #passed = 0
  #lastTurn = MIN_BUFFER
  readonly #stream: Duplex
  readonly #turn: FlushTurn
  readonly #stats: { packetsSent: number; bytesSent: number }
  readonly #onFlushed: () => void
  readonly #onAck: ((type: AckType, packetId: number, reasonCode: number) => void) | null

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

  /** More than so many bytes are unsent, or were when the first packet of this turn came: nobody asks the socket for each. */
  isBehind(bytes: number): boolean {
    return this.#gathered + (this.#scheduled ? this.#behind : this.#stream.writableLength) > bytes
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
      this.#used = writePublish(this.#room(length), this.#used, packet, qos, retain, dup, packetId, sent)
    } else {
      const target = this.#room(length - payload.length)
      this.#used = writePublishHead(target, this.#used, packet, qos, retain, dup, packetId, sent)
      this.#pass(payload)
    }
    this.#count(length)
  }

  /** A PUBLISH of QoS 0 that came like this, but for RETAIN. */
  plain(packet: PublishView, retain: boolean): void {
    const { buffer, start, end } = packet
    const isSame = packet.retain === retain
    if (isSame && this.#run === buffer && this.#runEnd === start) {
      this.#runEnd = end
      this.#count(end - start)
      return
    }
    if (isSame && this.#gathered === 0) this.#runFrom = start
    else {
      this.#copyPlain(packet, retain)
      this.#runFrom = end
    }
    this.#run = isSame ? buffer : null
    this.#runEnd = end
    this.#count(end - start)
  }

  /** A reason in MQTT 5 only. */
  ack(type: AckType, packetId: number, reasonCode = 0, reasonString?: string): void {
    this.#onAck?.(type, packetId, reasonCode)
    const length = ackLength(reasonCode, reasonString)
    this.#used = writeAck(this.#room(length), this.#used, type, packetId, reasonCode, reasonString)
    this.#count(length)
  }

  /** Any other packet, whole. */
  packet(bytes: Buffer): void {
    this.#copy(bytes)
    this.#count(bytes.length)
  }

  /** Hands everything to the socket. */
  flush(): void {
    this.#scheduled = false
    if (this.#gathered === 0) return
    this.#settle()
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
    if (chunks === null) stream.write(last)
    else if (chunks.length === 1 && last === null) stream.write(chunks[0])
    else {
      stream.cork()
      for (const chunk of chunks) stream.write(chunk)
      if (last !== null) stream.write(last)
      stream.uncork()
    }
    this.#onFlushed()
  }

  /** The run is to be followed by something else: it joins what was gathered before. */
  #settle(): void {
    const run = this.#run
    if (run === null) return
    this.#run = null
    const length = this.#runEnd - this.#runFrom
    if (length === 0) return
    const bytes = run.subarray(this.#runFrom, this.#runEnd)
    if (length * WORTH_HOLDING >= run.buffer.byteLength) this.#pass(bytes)
    else this.#copy(bytes)
  }

  #copyPlain(packet: PublishView, retain: boolean): void {
    const { body } = packet
    if (body.length < PASS_THROUGH) {
      const target = this.#room(packet.length)
      this.#used = writePlainHead(target, this.#used, body.length, retain)
      this.#copy(body)
    } else {
      const target = this.#room(packet.length - body.length)
      this.#used = writePlainHead(target, this.#used, body.length, retain)
      this.#pass(body)
    }
  }

  #copy(bytes: Buffer): void {
    this.#room(bytes.length).set(bytes, this.#used)
    this.#used += bytes.length
  }

  /** `#buffer`, with so many bytes free from `#used` on. */
  #room(length: number): Buffer {
    this.#settle()
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
      this.#cut()
      this.#from = 0
      this.#used = 0
      this.#buffer = Buffer.allocUnsafe(Math.max(MAX_BUFFER, length))
    }
    return this.#buffer as Buffer
  }

  /** What was copied so far leaves before what comes now. */
  #cut(): void {
    if (this.#used === this.#from) return
    this.#chunks ??= []
    this.#chunks.push((this.#buffer as Buffer).subarray(this.#from, this.#used))
    this.#from = this.#used
  }

  #pass(bytes: Buffer): void {
    this.#cut()
    this.#chunks ??= []
    this.#chunks.push(bytes)
    this.#passed += bytes.length
  }

  /** One more packet was gathered, of so many bytes. */
  #count(length: number): void {
    this.#packets++
    this.#gathered += length
    this.#memory.moved(length)
    if (this.#scheduled) return
    this.#scheduled = true
    this.#behind = this.#stream.writableLength
    this.#turn.add(this)
  }
}
