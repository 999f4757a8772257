/**
 * One connection and the MQTT session on it: a state machine that is told of packets and of the
 * connection's end, the same for MQTT 3.1, 3.1.1 and 5. What it receives is in `inbound.ts`, what it sends in
 * `outbound.ts`, which packet goes where in `reception.ts`, its beginning in `connect.ts`, its end in `ending.ts`; this
 * file joins them, splits the bytes and keeps the time.
 */
import type { Duplex } from 'node:stream'
import { reasonOf } from '../kernel/errors.ts'
import { Moment } from '../kernel/moment.ts'
import type { Alarm } from '../kernel/wheel.ts'
import { encodeControl, type ServerPacket } from '../mqtt/control.ts'
import { FrameReader } from '../mqtt/frames.ts'
import { MalformedPacketError } from '../mqtt/malformed.ts'
import type { Message } from '../mqtt/message.ts'
import type { ProtocolVersion, QoS } from '../mqtt/packets.ts'
import type { Properties } from '../mqtt/properties.ts'
import { ReasonCode } from '../mqtt/reason-codes.ts'
import type { Grants } from '../mqtt/subscription.ts'
import type { ConnectionEnd } from '../observe/ports.ts'
import { AssignedAliases } from './aliases.ts'
import { Authentication } from './authentication.ts'
import { endSession, type Will } from './ending.ts'
import type { Hub } from './hub.ts'
import { Inbound } from './inbound.ts'
import { MAX_CONNECT_PACKET, SEND_HIGH_WATER } from './limits.ts'
import type { MemoryQueue } from './memory-queue.ts'
import { Outbound } from './outbound.ts'
import { Outbox } from './outbox.ts'
import { OwnSubscriptions } from './own-subscriptions.ts'
import type { SessionQueue } from './ports.ts'
import { Reception } from './reception.ts'
import type { ConnectionRules } from './rules.ts'
import { Subscribing } from './subscribing.ts'
import { fixedTerms, type Terms } from './terms.ts'

/** Where a connection came from. */
export interface ConnectionDetails {
  remoteAddress?: string | undefined
  remotePort?: number | undefined
  /** Address of the listener that it came in by. */
  listener?: string
  /** Who the client has proved to be by TLS. */
  identity?: { commonName?: string; subject?: string; pskIdentity?: string }
  /** Called when the client is no stranger any more. */
  onConnect?: () => void
}

/** A peer that does not take our last bytes is cut off after this time. */
const LINGER_MS = 2_000
/** A client that is silent for so many times its keep alive is taken for dead [MQTT-3.1.2-24]. */
const PATIENCE = 1.5

const BEFORE_CONNECT: Terms = fixedTerms(true)

export class Session {
  // What each message needs stands first: the processor fetches memory in pieces.
  readonly hub: Hub
  readonly rules: ConnectionRules
  readonly #subscriptions = new OwnSubscriptions()
  readonly outbound: Outbound
  readonly details: ConnectionDetails
  readonly outbox: Outbox
  readonly inbound: Inbound
  readonly subscribing: Subscribing
  /** Aedes' name for the stream. */
  readonly conn: Duplex
  id = ''
  /** Clean Session of MQTT 3.x, Clean Start of MQTT 5. */
  clean = true
  version: ProtocolVersion | null = null
  /** A bridge that says so by its protocol level. */
  isBridge = false
  /** The bridge of another broker, in any version (`links.ts`). */
  isLink = false
  terms: Terms = BEFORE_CONNECT
  userName: string | undefined = undefined
  will: Will | null = null
  /** The store has its will. */
  isWillStored = false
  /** Seconds, as agreed on at CONNECT; 0 for none. */
  keepalive = 0
  /** CONNACK was sent. */
  connected = false
  /** When. */
  since: Moment | undefined = undefined
  closed = false
  /** Queue of a session that the store keeps. */
  queue: SessionQueue | null = null
  /** Queue of a session that ends with its connection. */
  memoryQueue: MemoryQueue | null = null
  readonly #reception: Reception
  readonly #reader: FrameReader
  /** For the one thing at a time that must come soon enough: CONNECT, then any packet, at last the end of the connection. */
  readonly #alarm: Alarm
  /** When something came last, or was read again; monotonic. */
  #seenAt: number
  /** Bytes of a WebSocket message that has not come whole; the stream keeps them. */
  #partBytes = 0
  #authentication: Authentication | null = null
  #cause: ConnectionEnd = 'closed'
  #isRegistered = false
  #strangerBytes = 0

  /** `rules`: absent, those of a connection about which nothing more is said. */
  constructor(deps: {
    hub: Hub
    stream: Duplex
    details?: ConnectionDetails | undefined
    rules?: ConnectionRules | undefined
  }) {
    const { hub, stream } = deps
    const onFlushed = () => this.#flushed()
    this.hub = hub
    this.conn = stream
    this.details = deps.details ?? {}
    this.rules = deps.rules ?? hub.defaultRules
    this.outbox = new Outbox({
      stream,
      turn: hub.turn,
      stats: hub.stats,
      memory: hub.memory,
      onFlushed,
      onAck:
        hub.trace === null
          ? null
          : (type, packetId, reasonCode) => hub.trace?.ackSent(this, type, packetId, reasonCode),
    })
    this.inbound = new Inbound({ session: this, hub, outbox: this.outbox })
    this.outbound = new Outbound({ session: this, hub, outbox: this.outbox })
    this.subscribing = new Subscribing({
      session: this,
      hub,
      subscriptions: this.#subscriptions,
      listener: (message, done) => {
        this.#listen(message)
        done()
      },
    })
    this.#reception = new Reception({ session: this, hub })
    this.#reader = new FrameReader({
      maxPacketSize: Math.min(MAX_CONNECT_PACKET, this.rules.maxPacketSize),
      onFrame: (header, buffer, start, body, end) => this.#reception.receive(header, buffer, start, body, end),
    })
    this.#seenAt = hub.clock.monotonic()
    this.#alarm = hub.wheel.alarm(() => this.#late())
    this.#alarm.set(hub.limits.connectTimeout)
    hub.memory.add(this)
    hub.stats.sockets++
    stream.on('data', (chunk: Buffer) => this.#read(chunk))
    stream.on('part', (bytes: number) => this.#cameInPart(bytes))
    stream.on('drain', onFlushed)
    stream.on('error', error => this.fail(error))
    stream.on('end', () => this.end())
    stream.on('close', () => {
      this.end()
      this.#alarm.cancel()
    })
  }

  /** PUBLISH packets of this connection, both ways. */
  get publishes(): { received: number; sent: number } {
    return { received: this.inbound.received, sent: this.outbound.sent }
  }

  get authentication(): Authentication {
    this.#authentication ??= new Authentication({
      session: this,
      enhanced: this.hub.enhancedAuthentication ?? this.rules.access,
    })
    return this.#authentication
  }

  /** Bytes that the gateway holds because of this connection. */
  get held(): number {
    const waiting = this.memoryQueue === null ? 0 : this.memoryQueue.bytes
    const { inbound, outbound, outbox } = this
    return outbox.unsent + this.#unread + inbound.aliasBytes + outbound.inFlightBytes + waiting
  }

  /** Ends the connection because all together hold too much, and this one most. */
  giveWay(): void {
    this.fail(new MalformedPacketError('the connection holds too much memory', ReasonCode.QUOTA_EXCEEDED))
    // What the client has not read for so long, it will not read now.
    if (this.conn.writableLength > SEND_HIGH_WATER) this.conn.destroy()
  }

  /** CONNACK was sent: the session is in force. */
  begin(): void {
    this.connected = true
    this.since = new Moment(this.hub.clock)
    if (this.isLink) this.hub.links.add(this)
    this.details.onConnect?.()
    this.#countStranger(0)
    this.#reader.maxPacketSize = this.rules.maxPacketSize
    // [MQTT-1.5.5-1]
    this.#reader.shortestLengths = this.version === 5
    if (this.keepalive > 0) this.#alarm.set(this.#patience)
    else this.#alarm.cancel()
    const { receiveMaximum, topicAliasMaximum } = this.terms
    const window = Math.min(this.hub.limits.maxInflight, receiveMaximum)
    const aliases = topicAliasMaximum > 0 ? new AssignedAliases(topicAliasMaximum) : null
    const pump = () => this.outbound.pump()
    if (this.queue !== null) {
      this.queue.attach(pump)
      this.outbound.open(this.queue, { window, aliases })
    } else if (this.memoryQueue !== null) {
      this.memoryQueue.onReady = pump
      this.outbound.open(this.memoryQueue, { window, aliases })
    }
    this.hub.emit('clientReady', this)
    this.resume()
  }

  /** Takes the place in aedes' registry, and so the session over from another connection [MQTT-3.1.4-2]. */
  register(): void {
    const { hub } = this
    hub.registerClient(this)
    hub.stats.mostClients = Math.max(hub.stats.mostClients, hub.connectedClients)
    this.#isRegistered = true
  }

  /** Sends the packet, unless it is larger than the client takes [MQTT-3.1.2-24]: then returns false. */
  sendControl(packet: ServerPacket): boolean {
    const bytes = encodeControl(packet, this.version ?? 4, this.terms.maximumPacketSize)
    if (bytes.length > this.terms.maximumPacketSize) return false
    this.outbox.packet(bytes)
    return true
  }

  /** Serves a message that did not come through the session's queue in the store. */
  deliver(message: Message, grants: Grants, isShared: boolean): void {
    // Mostly they are the same, and the names need not be compared.
    const isOwn = grants.own !== grants.others && message.clientId === this.id
    const grant = isOwn ? grants.own : grants.others
    // [MQTT-3.8.3-3] No local.
    if (grant === null) return
    const qos = Math.min(message.qos, grant.qos) as QoS
    const { subscriptionIdentifiers } = grant
    // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
    const retain = grant.rap && message.retain
    if (qos === 0) {
      if (this.hub.mayForward(this, message)) this.outbound.sendNow(message, retain, subscriptionIdentifiers)
    } else if (this.memoryQueue !== null) {
      this.memoryQueue.push(message, { qos, retain, subscriptionIdentifiers, isShared })
      this.outbound.pump()
    }
    // What is queued for a session in the store, it finds there.
  }

  /** A packet was dealt with later than it came: goes on with what was read meanwhile. */
  resume(): void {
    if (this.closed || this.#reception.holds()) return
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
    this.#seenAt = this.hub.clock.monotonic()
    this.conn.resume()
  }

  /** The client has said goodbye. */
  leave(): void {
    this.#cause = 'disconnect'
    this.end()
  }

  /**
   * Ends the session because of what happened on the connection: a fault of the client, or of the network. An MQTT 5
   * client is told [MQTT-4.13.1-1].
   */
  fail(error: unknown): void {
    if (this.closed) return
    const reason = reasonOf(error)
    this.#cause = error instanceof Error ? error : new Error(reason)
    this.hub.log.debug({ client: this.id, from: this.details.remoteAddress, reason }, 'connection failed')
    this.hub.emit(this.id === '' ? 'connectionError' : 'clientError', this, error)
    if (error instanceof MalformedPacketError) this.end(error.reasonCode, reason)
    else this.end()
  }

  /** Aedes ends a session so: at a take-over [MQTT-3.1.4-3] and at the stop of the gateway. */
  close(done?: () => void): void {
    this.#cause = this.hub.closed ? 'shutdown' : 'taken-over'
    this.end(this.hub.closed ? ReasonCode.SERVER_SHUTTING_DOWN : ReasonCode.SESSION_TAKEN_OVER)
    done?.()
  }

  /** Ends the session and the connection, once. With `reasonCode`, an MQTT 5 client is sent a DISCONNECT first. */
  end(reasonCode?: number, reasonString?: string): void {
    if (this.closed) return
    // A CONNACK that refuses, or a DISCONNECT.
    let isTold = !this.connected && this.version !== null
    if (reasonCode !== undefined && this.connected && this.version === 5) {
      isTold = true
      const properties: Properties = reasonString === undefined ? {} : { reasonString }
      this.sendControl({ cmd: 'disconnect', reasonCode, properties })
    }
    this.closed = true
    this.hub.emit('connectionEnd', this, this.#cause)
    this.#countStranger(0)
    this.#alarm.cancel()
    this.#reception.close()
    this.hub.memory.delete(this)
    if (this.isLink) this.hub.links.delete(this)
    this.outbox.flush()
    endSession(this)
    if (this.#isRegistered && this.hub.clients[this.id] === this) this.hub.unregisterClient(this)
    this.#hangUp(isTold)
  }

  /**
   * What was written last may still go out. To a peer that is told why, the connection stays until it ends its side, too, and what
   * it has on its way is thrown away: a connection that is closed with bytes unread is reset (RFC 1122, 4.2.2.13), and then
   * the peer's system forgets our last words. When the gateway stops, nobody waits for peers.
   */
  #hangUp(isTold: boolean): void {
    const { conn } = this
    if (conn.destroyed) return
    this.#alarm.set(LINGER_MS)
    conn.end(isTold && !this.hub.closed ? undefined : () => conn.destroy())
    conn.resume()
  }

  /** Milliseconds of silence that the client may keep. */
  get #patience(): number {
    return PATIENCE * this.keepalive * 1000
  }

  #late(): void {
    if (this.closed) this.conn.destroy()
    else if (this.connected) this.#listenForLife()
    else this.fail(new Error('CONNECT did not arrive in time'))
  }

  #listenForLife(): void {
    // The silence of a client that is not being read is ours.
    const silence = this.conn.isPaused() ? 0 : this.hub.clock.monotonic() - this.#seenAt
    if (silence < this.#patience) {
      this.#alarm.set(this.#patience - silence)
      return
    }
    this.hub.emit('keepaliveTimeout', this)
    this.fail(new MalformedPacketError('keep alive time-out', ReasonCode.KEEP_ALIVE_TIMEOUT))
  }

  #read(chunk: Buffer): void {
    if (this.closed) return
    this.#seenAt = this.hub.clock.monotonic()
    this.#partBytes = 0
    this.hub.memory.moved(chunk.length)
    this.hub.stats.bytesReceived += chunk.length
    this.hub.turn.read(chunk.length)
    try {
      this.#reader.push(chunk)
    } catch (error) {
      this.fail(error)
      return
    }
    this.hub.spentChunks.read(chunk.length)
    if (!this.connected && !this.closed) this.#countStranger(this.#unread)
    if (!this.closed && this.#mustWait()) this.conn.pause()
  }

  /** Nothing can be read of it yet, but it takes memory. */
  #cameInPart(bytes: number): void {
    if (this.closed) return
    this.#seenAt = this.hub.clock.monotonic()
    this.#partBytes += bytes
    this.hub.memory.moved(bytes)
    if (!this.connected) this.#countStranger(this.#unread)
  }

  /** Bytes that have come and are not dealt with. */
  get #unread(): number {
    return this.#reader.buffered + this.#partBytes
  }

  /** Counts what this connection makes the gateway hold before it has a session. */
  #countStranger(held: number): void {
    const mayStay = this.hub.strangers.count(this.#strangerBytes, held)
    this.#strangerBytes = held
    if (!mayStay) this.fail(new Error('too many large CONNECT packets at once'))
  }

  /** True while the client must not be read: a packet is being dealt with, too much waits for the disk, or it does not read itself. */
  #mustWait(): boolean {
    return this.#reader.paused || this.inbound.isFull || this.conn.writableNeedDrain
  }

  /** A message for one of the subscriptions, from the emitter. */
  #listen(message: Message): void {
    this.deliver(message, this.#subscriptions.grantsFor(message.topic), false)
  }

  #flushed(): void {
    if (this.closed || this.conn.writableNeedDrain) return
    this.outbound.pump()
    this.readOn()
  }
}
