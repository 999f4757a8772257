/**
 * One connection of a client, from CONNECT to the end: says what is to be said, answers what is to be answered, and tells
 * the rest. Whoever has it decides what is subscribed and published, and whether another connection follows.
 * The debug lines (-d) are those of Mosquitto's library.
 */
import type { Duplex } from 'node:stream'
import type { Clock, Timer } from '../../kernel/clock.ts'
import { type AckType, ackPacketId, ackReasonCode, decodeAck, decodePacketId } from '../../mqtt/acks.ts'
import {
  type Connack,
  decodeConnack,
  decodeMessage,
  decodeSuback,
  encodeAck,
  encodeConnect,
  encodeGoodbye,
  encodePublish,
  encodeSubscribe,
  encodeUnsubscribe,
  optionsOf,
  PINGREQ,
  type ReceivedMessage,
} from '../../mqtt/client-packets.ts'
import { FrameReader } from '../../mqtt/frames.ts'
import { MAX_REMAINING_LENGTH, PacketType, type QoS } from '../../mqtt/packets.ts'
import type { Properties } from '../../mqtt/property-table.ts'
import type { ClientSettings } from './settings.ts'

/** The largest packet there can be, its fixed header included. */
const MAX_PACKET_BYTES = MAX_REMAINING_LENGTH + 5
/** Packet identifiers are 1 to 65535 (MQTT 3.1.1 §2.3.1). */
const MAX_PACKET_ID = 0xffff
/** Milliseconds for the server to take the goodbye and close. */
const GOODBYE_TIMEOUT = 2_000
const REFUSED = 0x80

/** Their names, and what stands behind the packet identifier in a debug line. */
const ACKS: Readonly<Record<AckType, readonly [name: string, code: string]>> = {
  [PacketType.PUBACK]: ['PUBACK', ', rc0'],
  [PacketType.PUBREC]: ['PUBREC', ', rc0'],
  [PacketType.PUBREL]: ['PUBREL', ''],
  [PacketType.PUBCOMP]: ['PUBCOMP', ''],
}

/** What it does not do by itself. All may be left out. */
export interface ConnectionEvents {
  onConnack?: (connack: Connack) => void
  /** Once for each, also at QoS 2. Acknowledged by then. */
  onMessage?: (message: ReceivedMessage) => void
  onSuback?: (packetId: number, codes: number[]) => void
  /** One line of what goes on. */
  onDebug?: (line: string) => void
}

export interface ConnectionDependencies extends ConnectionEvents {
  readonly socket: Duplex
  readonly settings: ClientSettings
  readonly clock: Clock
  /** Packet identifiers of QoS 2 that the server has not released: the session's, which may go on in another connection. */
  readonly unreleased: Set<number>
}

export class Connection {
  /** Resolves when it is gone, with the reason code of the server's DISCONNECT if there was one. */
  readonly closed: Promise<number | undefined>
  readonly #deps: ConnectionDependencies
  readonly #frames: FrameReader
  /** What is published and not acknowledged, by packet identifier. */
  readonly #unacknowledged = new Map<number, (reasonCode: number) => void>()
  /** Topics of the aliases that the server has given; it may give as many as CONNECT allowed, which by default is none. */
  readonly #aliases = new Map<number, string>()
  #name: string
  #packetId = 0
  #keepAlive: Timer | undefined
  #pinged = false
  #spoken = false
  #ended = false
  #reason: number | undefined

  constructor(deps: ConnectionDependencies) {
    this.#deps = deps
    this.#name = deps.settings.clientId ?? '(null)'
    this.#frames = new FrameReader({
      maxPacketSize: MAX_PACKET_BYTES,
      onFrame: (header, buffer, _start, body, end) => this.#receive(header, buffer, body, end),
    })
    this.closed = new Promise(resolve => deps.socket.once('close', () => resolve(this.#end())))
  }

  /** Says CONNECT. */
  open(): void {
    const { socket, settings } = this.#deps
    const { version, clean, username, password, will, properties } = settings
    socket.on('error', () => {}) // `closed` follows
    socket.on('data', bytes => {
      try {
        this.#frames.push(bytes)
      } catch {
        socket.destroy()
      }
    })
    this.#debug('sending CONNECT')
    this.#send(
      encodeConnect({
        protocolVersion: version,
        clean,
        keepalive: settings.keepalive,
        clientId: settings.clientId ?? '',
        will: will === undefined ? undefined : { ...will, properties: properties.will },
        username,
        password: password === undefined ? undefined : Buffer.from(password),
        properties: properties.connect,
      }),
    )
  }

  subscribe(topics: readonly string[]): void {
    const { qos, version, properties, withoutRetained, retainAsPublished } = this.#deps.settings
    const options = { nl: false, rap: retainAsPublished, rh: withoutRetained ? 2 : 0 } as const
    const messageId = this.#nextId()
    const bits = optionsOf(options).toString(16).padStart(2, '0')
    for (const topic of topics)
      this.#debug(`sending SUBSCRIBE (Mid: ${messageId}, Topic: ${topic}, QoS: ${qos}, Options: 0x${bits})`)
    const subscriptions = topics.map(topic => ({ topic, qos, ...options }))
    this.#send(encodeSubscribe({ messageId, subscriptions, properties: properties.subscribe }, version))
  }

  unsubscribe(topic: string): void {
    const { version, properties } = this.#deps.settings
    const messageId = this.#nextId()
    this.#debug(`sending UNSUBSCRIBE (Mid: ${messageId}, Topic: ${topic})`)
    this.#send(encodeUnsubscribe({ messageId, topic, properties: properties.unsubscribe }, version))
  }

  /**
   * Publishes. Resolves with the packet identifier and the reason code when the server has acknowledged it, at QoS 0 when the
   * socket has taken it; never when the connection goes first. Throws RangeError for a payload too large for a packet.
   */
  publish(
    topic: string,
    message: { payload: Buffer; qos: QoS; retain: boolean },
    properties: Properties,
  ): Promise<{ packetId: number; reasonCode: number }> {
    const { payload, qos, retain } = message
    const packetId = this.#nextId()
    const packet = encodePublish({ topic, ...message, packetId, properties }, this.#deps.settings.version)
    const flags = `d0, q${qos}, r${retain ? 1 : 0}, m${packetId}`
    this.#debug(`sending PUBLISH (${flags}, '${topic === '' ? '(null)' : topic}', ... (${payload.length} bytes))`)
    return new Promise(resolve => {
      if (qos > 0) this.#unacknowledged.set(packetId, reasonCode => resolve({ packetId, reasonCode }))
      this.#send(packet, () => {
        if (qos === 0) resolve({ packetId, reasonCode: 0 })
      })
    })
  }

  /** Says DISCONNECT and closes; nothing is taken any more. Resolves when it is closed. `silently`: there is no debug line. */
  async disconnect(reasonCode = 0, { silently = false } = {}): Promise<void> {
    if (this.#ended) return
    const { socket, settings, clock } = this.#deps
    if (!silently) this.#debug('sending DISCONNECT')
    socket.end(encodeGoodbye(settings.version, reasonCode, settings.properties.disconnect))
    this.#ended = true
    const late = clock.after(GOODBYE_TIMEOUT, () => socket.destroy())
    await this.closed
    late.cancel()
  }

  #end(): number | undefined {
    this.#ended = true
    this.#keepAlive?.cancel()
    return this.#reason
  }

  #send(bytes: Buffer, taken?: () => void): void {
    if (this.#ended) return
    this.#spoken = true
    this.#deps.socket.write(bytes, error => {
      if (error === null || error === undefined) taken?.()
    })
  }

  #debug(line: string): void {
    this.#deps.onDebug?.(`Client ${this.#name} ${line}`)
  }

  #nextId(): number {
    do this.#packetId = (this.#packetId % MAX_PACKET_ID) + 1
    while (this.#unacknowledged.has(this.#packetId))
    return this.#packetId
  }

  #receive(header: number, buffer: Buffer, body: number, end: number): boolean {
    const { version } = this.#deps.settings
    const type = header >> 4
    switch (type) {
      case PacketType.CONNACK:
        this.#receiveConnack(decodeConnack(buffer, body, end, version))
        break
      case PacketType.PUBLISH:
        this.#receiveMessage(decodeMessage(header, buffer, body, end, version))
        break
      case PacketType.PUBACK:
      case PacketType.PUBREC:
      case PacketType.PUBREL:
      case PacketType.PUBCOMP:
        this.#receiveAck(type, decodeAck(type, buffer, body, end, version))
        break
      case PacketType.SUBACK: {
        this.#debug('received SUBACK')
        const { packetId, codes } = decodeSuback(buffer, body, end, version)
        this.#deps.onSuback?.(packetId, codes)
        break
      }
      case PacketType.UNSUBACK:
        this.#debug('received UNSUBACK')
        decodePacketId(buffer, body, body + 2)
        break
      case PacketType.PINGRESP:
        this.#debug('received PINGRESP')
        this.#pinged = false
        break
      case PacketType.DISCONNECT:
        this.#reason = end > body ? buffer[body] : 0
        this.#deps.onDebug?.(`Received DISCONNECT (${this.#reason})`)
        this.#deps.socket.destroy()
        break
      default:
        this.#deps.socket.destroy()
    }
    return !this.#ended
  }

  #receiveConnack(connack: Connack): void {
    const { settings, clock, unreleased, onConnack } = this.#deps
    this.#name = connack.properties.assignedClientIdentifier ?? this.#name
    this.#debug(`received CONNACK (${connack.code})`)
    // [MQTT-3.2.2-2]
    if (!connack.sessionPresent) unreleased.clear()
    if (connack.code === 0) {
      const keepalive = connack.properties.serverKeepAlive ?? settings.keepalive
      if (keepalive > 0) this.#keepAlive = clock.every((keepalive * 1000) / 2, () => this.#ping())
    }
    onConnack?.(connack)
  }

  /** Twice in a keep alive: who was silent since the last time asks for an answer, which must be there the next time. */
  #ping(): void {
    if (this.#pinged) {
      this.#deps.socket.destroy()
      return
    }
    if (!this.#spoken) {
      this.#debug('sending PINGREQ')
      this.#send(PINGREQ)
      this.#pinged = true
    }
    this.#spoken = false
  }

  #receiveMessage(message: ReceivedMessage): void {
    const alias = message.properties?.topicAlias
    if (alias !== undefined) {
      if (message.topic === '') message.topic = this.#aliases.get(alias) ?? ''
      else this.#aliases.set(alias, message.topic)
    }
    const { qos, packetId } = message
    const flags = `d${message.dup ? 1 : 0}, q${qos}, r${message.retain ? 1 : 0}, m${packetId}`
    this.#debug(`received PUBLISH (${flags}, '${message.topic}', ... (${message.payload.length} bytes))`)
    const { unreleased, onMessage } = this.#deps
    const isRepeated = qos === 2 && unreleased.has(packetId)
    if (qos === 2) unreleased.add(packetId)
    if (qos > 0) this.#acknowledge(qos === 1 ? PacketType.PUBACK : PacketType.PUBREC, packetId)
    // Not when it is released: whoever ends between the two would lose it (MQTT 3.1.1 §4.3.3, method B).
    if (!isRepeated) onMessage?.(message)
  }

  #acknowledge(type: AckType, packetId: number): void {
    const [name, code] = ACKS[type]
    this.#debug(`sending ${name} (m${packetId}${code})`)
    this.#send(encodeAck(type, packetId))
  }

  #receiveAck(type: AckType, ack: number): void {
    const packetId = ackPacketId(ack)
    const reasonCode = ackReasonCode(ack)
    const [name] = ACKS[type]
    const isLast = type === PacketType.PUBACK || type === PacketType.PUBCOMP
    this.#debug(`received ${name} (Mid: ${packetId}${isLast ? `, RC:${reasonCode}` : ''})`)
    if (type === PacketType.PUBREL) {
      this.#acknowledge(PacketType.PUBCOMP, packetId)
      this.#deps.unreleased.delete(packetId)
    } else if (type === PacketType.PUBREC && reasonCode < REFUSED) {
      this.#acknowledge(PacketType.PUBREL, packetId)
    } else {
      this.#unacknowledged.get(packetId)?.(reasonCode)
      this.#unacknowledged.delete(packetId)
    }
  }
}
