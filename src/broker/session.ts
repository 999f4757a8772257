/**
 * One connection and the MQTT session on it: a state machine that is told of packets and of the
 * connection's end. What it receives is in `inbound.ts`, what it sends in `outbound.ts`, its beginning in
 * `connect.ts`; this file splits the bytes, hands them round, keeps the time, and ends it all once.
 */
import type { Duplex } from 'node:stream'
import type { Timer } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'
import { decodePacketId, flagsFault, PINGRESP } from '../mqtt/acks.ts'
import { type ConnectPacket, decodeControl, type SubscribePacket, type UnsubscribePacket } from '../mqtt/control.ts'
import { FrameReader } from '../mqtt/frames.ts'
import { MalformedPacketError } from '../mqtt/malformed.ts'
import type { Message } from '../mqtt/message.ts'
import { PacketType, type ProtocolVersion, type QoS } from '../mqtt/packets.ts'
import { decodePublish } from '../mqtt/publish.ts'
import { connect } from './connect.ts'
import type { Hub } from './hub.ts'
import { Inbound } from './inbound.ts'
import { MAX_CONNECT_PACKET } from './limits.ts'
import type { MemoryQueue } from './memory-queue.ts'
import { Outbound } from './outbound.ts'
import { Outbox } from './outbox.ts'
import type { SessionQueue } from './ports.ts'
import { Subscribing } from './subscribing.ts'

/** Where a connection came from. */
export interface ConnectionDetails {
  remoteAddress?: string | undefined
  remotePort?: number | undefined
}

/** The standard gives a client one and a half times its keep alive [MQTT-3.1.2-24]. */
const KEEPALIVE_FACTOR = 1.5

/** A peer that does not take our last bytes is cut off after this time. */
const LINGER_MS = 2_000

export class Session {
  readonly hub: Hub
  readonly details: ConnectionDetails
  readonly outbox: Outbox
  readonly inbound: Inbound
  readonly outbound: Outbound
  readonly subscribing: Subscribing
  /** Aedes' name for the stream. */
  readonly conn: Duplex
  id = ''
  clean = true
  version: ProtocolVersion | null = null
  userName: string | undefined = undefined
  will: Message | null = null
  /** CONNACK was sent. */
  connected = false
  closed = false
  /** Queue of a persistent session. */
  queue: SessionQueue | null = null
  /** Queue of a clean session. */
  memoryQueue: MemoryQueue | null = null
  readonly #reader: FrameReader
  #timer: Timer | null = null
  #lastSeen = 0
  #keepalive = 0
  #isRegistered = false
  /** The last message that a listener was called for: an emitter may call once for each matching filter. */
  #lastMessage: Message | null = null

  constructor(deps: { hub: Hub; stream: Duplex; details?: ConnectionDetails | undefined }) {
    const { hub, stream } = deps
    this.hub = hub
    this.conn = stream
    this.details = deps.details ?? {}
    this.outbox = new Outbox({ stream, turn: hub.turn, onFlushed: () => this.#flushed() })
    this.inbound = new Inbound({ session: this, hub, outbox: this.outbox })
    this.outbound = new Outbound({ session: this, hub, outbox: this.outbox })
    this.subscribing = new Subscribing({
      session: this,
      hub,
      listener: (message, done) => {
        this.#listen(message)
        done()
      },
    })
    this.#reader = new FrameReader({
      maxPacketSize: Math.min(MAX_CONNECT_PACKET, hub.limits.maxPacketSize),
      onFrame: (header, buffer, start, body, end) => this.#receive(header, buffer, start, body, end),
    })
    this.#timer = hub.clock.after(hub.limits.connectTimeout, () =>
      this.fail(new Error('CONNECT did not arrive in time')),
    )
    stream.on('data', (chunk: Buffer) => this.#read(chunk))
    stream.on('drain', () => this.#flushed())
    stream.on('error', error => this.fail(error))
    stream.on('close', () => this.close())
    stream.on('end', () => this.close())
  }

  /** CONNACK was sent: the session is in force. `keepalive` in seconds, 0 for none. */
  begin(keepalive: number): void {
    this.connected = true
    this.#reader.maxPacketSize = this.hub.limits.maxPacketSize
    this.#timer?.cancel()
    this.#timer = null
    this.#keepalive = KEEPALIVE_FACTOR * keepalive * 1000
    if (this.#keepalive > 0) this.#watchKeepalive(this.#keepalive)
    const queue = this.queue
    if (queue !== null) {
      queue.attach(() => this.outbound.pump())
      this.outbound.open(queue)
    } else if (this.memoryQueue !== null) {
      this.memoryQueue.onReady = () => this.outbound.pump()
      this.outbound.open(this.memoryQueue)
    }
    this.hub.emit('clientReady', this)
    this.resume()
  }

  /** Takes the place in aedes' registry, and so the session over from another connection [MQTT-3.1.4-2]. */
  register(): void {
    this.hub.registerClient(this)
    this.#isRegistered = true
  }

  send(bytes: Buffer): void {
    this.outbox.packet(bytes)
  }

  /** Sends the retained messages that match a new subscription, with RETAIN set [MQTT-3.3.1-8]. */
  sendRetained(filter: string, granted: QoS): void {
    const { queues } = this.hub.persistence
    this.outbound.sendRetained(queues.retained(filter), message => {
      if (!this.hub.mayForward(this, message)) return
      const qos = Math.min(message.qos, granted) as QoS
      if (qos === 0) this.outbound.sendNow(message, true)
      else if (this.queue !== null) queues.acceptRetained(message, { queue: this.queue, qos })
      else this.memoryQueue?.push(message, qos, true)
    })
  }

  /** A packet was dealt with later than it came: goes on with what was read meanwhile. */
  resume(): void {
    if (this.closed) return
    try {
      this.#reader.resume()
    } catch (error) {
      this.fail(error)
    }
    this.readOn()
  }

  /** Reads from the socket again, if nothing stands against it. */
  readOn(): void {
    if (this.closed || !this.conn.isPaused() || this.#mustWait()) return
    this.#lastSeen = this.hub.clock.monotonic()
    this.conn.resume()
  }

  /** Ends the session because of what happened on the connection: a fault of the client, or of the network. */
  fail(error: unknown): void {
    if (this.closed) return
    this.hub.log.debug(
      { client: this.id, from: this.details.remoteAddress, reason: reasonOf(error) },
      'connection failed',
    )
    this.hub.emit(this.id === '' ? 'connectionError' : 'clientError', this, error)
    this.close()
  }

  /** Ends the session and the connection. Does its work once; aedes calls it for a take-over and at the stop. */
  close(done?: () => void): void {
    if (!this.closed) this.#end()
    done?.()
  }

  #end(): void {
    this.closed = true
    this.#timer?.cancel()
    this.outbox.flush()
    this.subscribing.close()
    this.outbound.close()
    this.queue?.detach()
    if (this.memoryQueue !== null) this.memoryQueue.onReady = null
    if (this.#isRegistered && this.hub.clients[this.id] === this) this.hub.unregisterClient(this)
    this.#publishWill()
    this.#hangUp()
  }

  /** What was written last (a CONNACK that refuses, say) may still go out; then the connection ends. */
  #hangUp(): void {
    const { conn } = this
    conn.removeAllListeners('data')
    if (conn.destroyed) return
    const lingering = this.hub.clock.after(LINGER_MS, () => conn.destroy())
    conn.once('close', () => lingering.cancel())
    conn.end(() => conn.destroy())
    conn.resume()
  }

  /**
   * [MQTT-3.1.2-8]. At the gateway's own stop the will stays in the store: the standard lets a server
   * defer it to the restart, and a client that is back by then has not died.
   */
  #publishWill(): void {
    const { will, hub } = this
    if (will === null || !this.connected || hub.closed) return
    this.will = null
    hub.whenMayPublish(this, will, allowed => {
      if (allowed) hub.route(will, this, null)
    })
    void hub.persistence.delWill(this)
  }

  #read(chunk: Buffer): void {
    this.#lastSeen = this.hub.clock.monotonic()
    try {
      this.#reader.push(chunk)
    } catch (error) {
      this.fail(error)
      return
    }
    if (!this.closed && this.#mustWait()) this.conn.pause()
  }

  /** True while the client must not be read: a packet is being dealt with, too much waits for the disk, or it does not read itself. */
  #mustWait(): boolean {
    return this.#reader.paused || this.inbound.isFull || this.conn.writableNeedDrain
  }

  /** One whole packet came. Returns false when the next must wait for `resume`. */
  #receive(header: number, buffer: Buffer, start: number, body: number, end: number): boolean {
    if (this.closed) return false
    const type = header >> 4
    if (type === PacketType.PUBLISH && this.connected) {
      return this.inbound.publish(decodePublish(header, buffer, body, end, this.hub.topics))
    }
    if (!this.connected) return this.#receiveFirst(type, buffer.subarray(start, end))
    const fault = flagsFault(header, this.version ?? undefined)
    if (fault !== undefined) throw new MalformedPacketError(fault)
    switch (type) {
      case PacketType.PUBACK:
      case PacketType.PUBREC:
      case PacketType.PUBCOMP:
        this.outbound.acknowledged(type, decodePacketId(buffer, body, end))
        return true
      case PacketType.PUBREL:
        this.inbound.pubrel(decodePacketId(buffer, body, end))
        return true
      default:
        return this.#receiveControl(type, buffer.subarray(start, end))
    }
  }

  /** The first packet must be CONNECT, and only the first [MQTT-3.1.0-1]. */
  #receiveFirst(type: number, frame: Buffer): boolean {
    if (type !== PacketType.CONNECT || this.version !== null) {
      throw new MalformedPacketError('the first packet is not CONNECT')
    }
    this.#later(connect(this, frame))
    return false
  }

  #receiveControl(type: number, frame: Buffer): boolean {
    switch (type) {
      case PacketType.SUBSCRIBE:
        this.#later(this.subscribing.subscribe(this.#decode<SubscribePacket>(frame)))
        return false
      case PacketType.UNSUBSCRIBE:
        this.#later(this.subscribing.unsubscribe(this.#decode<UnsubscribePacket>(frame)))
        return true
      case PacketType.PINGREQ:
        this.#decode(frame)
        this.send(PINGRESP)
        this.hub.emit('ping', { cmd: 'pingreq' }, this)
        return true
      case PacketType.DISCONNECT:
        this.#decode(frame)
        // [MQTT-3.14.4-3]
        this.will = null
        void this.hub.persistence.delWill(this)
        this.close()
        return false
      default:
        // [MQTT-3.1.0-2] A second CONNECT, and what only a server sends.
        throw new MalformedPacketError(`packet type ${type} is not expected`)
    }
  }

  #decode<T extends SubscribePacket | UnsubscribePacket | ConnectPacket>(frame: Buffer): T {
    return decodeControl(frame, this.version ?? undefined) as T
  }

  #later(work: Promise<void>): void {
    work.catch(error => this.fail(error))
  }

  /** A message for one of the subscriptions, from the emitter. */
  #listen(message: Message): void {
    if (message === this.#lastMessage) return
    this.#lastMessage = message
    const granted = this.subscribing.grantedFor(message.topic)
    if (message.qos === 0 || granted === 0) {
      // [MQTT-3.3.1-9]
      if (this.hub.mayForward(this, message)) this.outbound.sendNow(message, false)
    } else if (this.memoryQueue !== null) {
      this.memoryQueue.push(message, Math.min(message.qos, granted) as 1 | 2, false)
      this.outbound.pump()
    }
    // A persistent session finds it in its queue.
  }

  #flushed(): void {
    if (this.closed || this.conn.writableNeedDrain) return
    this.outbound.pump()
    this.readOn()
  }

  #watchKeepalive(wait: number): void {
    this.#timer = this.hub.clock.after(wait, () => {
      // While the client is not read, its silence is ours.
      const silence = this.conn.isPaused() ? 0 : this.hub.clock.monotonic() - this.#lastSeen
      if (silence < this.#keepalive) {
        this.#watchKeepalive(this.#keepalive - silence)
        return
      }
      this.hub.emit('keepaliveTimeout', this)
      this.fail(new Error('keep alive time-out'))
    })
  }
}
