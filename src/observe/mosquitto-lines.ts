/**
 * What happens on connections, in the lines that users of Mosquitto search its log for. Forms and types are those of
 * Mosquitto 2.0; test/interop/mosquitto-log.test.ts holds them against the real one.
 */

import { systemCodeOf } from '../kernel/errors.ts'
import type { AckType } from '../mqtt/acks.ts'
import { PacketType } from '../mqtt/packets.ts'
import { ReasonCode } from '../mqtt/reason-codes.ts'
import type { LineType, MosquittoLog } from './mosquitto-log.ts'
import type { ConnectionEnd, HubEvents, PacketTrace, SessionView, TracedPublish } from './ports.ts'

/** Protocol levels as Mosquitto numbers them in `(p5, c1, k60)`. */
const PROTOCOLS = { 3: 1, 4: 2, 5: 5 } as const

const ACK_NAMES: Readonly<Record<AckType, string>> = {
  [PacketType.PUBACK]: 'PUBACK',
  [PacketType.PUBREC]: 'PUBREC',
  [PacketType.PUBREL]: 'PUBREL',
  [PacketType.PUBCOMP]: 'PUBCOMP',
}

/** How Mosquitto says that a connection has ended; null when it says nothing. */
function ending(id: string, end: ConnectionEnd): { type: LineType; text: string } | null {
  const notice = (text: string) => ({ type: 'notice', text: `Client ${id} ${text}` }) as const
  if (end instanceof Error) return endingBy(end, id)
  switch (end) {
    case 'disconnect':
      return notice('disconnected.')
    case 'closed':
      return notice('closed its connection.')
    case 'taken-over':
      return { type: 'error', text: `Client ${id} already connected, closing old connection.` }
    case 'ordered':
      return notice('been disconnected by administrative action.')
    case 'shutdown':
      return null
  }
}

function endingBy(error: Error & { reasonCode?: unknown }, id: string): { type: LineType; text: string } {
  const notice = (text: string) => ({ type: 'notice', text: `Client ${id} ${text}` }) as const
  const code = systemCodeOf(error)
  // A peer that goes without a word has closed its connection, whatever its system sends for it.
  if (code === 'ECONNRESET' || code === 'EPIPE') return notice('closed its connection.')
  if (code?.startsWith('E')) return { type: 'notice', text: `Socket error on client ${id}, disconnecting.` }
  switch (error.reasonCode) {
    case undefined:
      return notice(`disconnected: ${error.message}.`)
    case ReasonCode.KEEP_ALIVE_TIMEOUT:
      return notice('has exceeded timeout, disconnecting.')
    case ReasonCode.NOT_AUTHORIZED:
    case ReasonCode.BAD_USER_NAME_OR_PASSWORD:
      return notice('disconnected, not authorised.')
    case ReasonCode.MALFORMED_PACKET:
      return notice('disconnected due to malformed packet.')
    case ReasonCode.PACKET_TOO_LARGE:
      return notice('disconnected due to oversize packet.')
    default:
      return notice('disconnected due to protocol error.')
  }
}

/** Writes lines for what `hub` tells from now on. */
export function watchHub(hub: HubEvents, log: MosquittoLog): void {
  const lines = new ConnectionLines(log)
  if (log.has('debug')) {
    hub.on('ping', (_: unknown, session: SessionView) => {
      log.line('debug', `Received PINGREQ from ${session.id}`)
      log.line('debug', `Sending PINGRESP to ${session.id}`)
    })
    hub.on('connectionEnd', (session: SessionView, end: ConnectionEnd) => {
      if (end === 'disconnect') log.line('debug', `Received DISCONNECT from ${session.id}`)
    })
    hub.trace = new TraceLines(log)
  }
  if (log.settings.connectionMessages) {
    hub.on('connection', (session: SessionView) => lines.accepted(session))
    hub.on('connectionEnd', (session: SessionView, end: ConnectionEnd) => lines.ended(session, end))
  }
  hub.on('connackSent', (packet: { returnCode: number; sessionPresent: boolean }, session: SessionView) =>
    lines.connack(packet, session),
  )
  hub.on('subscribe', (subscriptions: { topic: string; qos: number }[], session: SessionView | null) => {
    if (session !== null) lines.subscribed(session, subscriptions)
  })
  hub.on('unsubscribe', (filters: string[], session: SessionView | null) => {
    if (session !== null) lines.unsubscribed(session, filters)
  })
}

class ConnectionLines {
  readonly #log: MosquittoLog

  constructor(log: MosquittoLog) {
    this.#log = log
  }

  accepted({ details }: SessionView): void {
    this.#log.line('notice', `New connection from ${addressOf(details)} on port ${portOf(details.listener)}.`)
  }

  connack({ returnCode, sessionPresent }: { returnCode: number; sessionPresent: boolean }, session: SessionView): void {
    const log = this.#log
    const isIn = returnCode === 0
    if (isIn && log.settings.connectionMessages) log.line('notice', welcome(session))
    if (!log.has('debug')) return
    const { will, id, details } = session
    if (isIn && will === null) log.line('debug', 'No will message specified.')
    if (isIn && will !== null) {
      const { payload, retain, qos, topic } = will
      log.line('debug', `Will message specified (${payload.length} bytes) (r${retain ? 1 : 0}, q${qos}).`)
      log.line('debug', `\t${topic}`)
    }
    // One that is not let in has no name yet.
    const to = isIn ? id : (details.remoteAddress ?? id)
    log.line('debug', `Sending CONNACK to ${to} (${sessionPresent ? 1 : 0}, ${returnCode})`)
  }

  ended(session: SessionView, end: ConnectionEnd): void {
    // Whom the gateway did not let in it does not know.
    const line = ending(session.connected ? session.id : '<unknown>', end)
    if (line !== null) this.#log.line(line.type, line.text)
  }

  subscribed({ id }: SessionView, subscriptions: readonly { topic: string; qos: number }[]): void {
    this.#log.line('debug', `Received SUBSCRIBE from ${id}`)
    for (const { topic, qos } of subscriptions) {
      this.#log.line('debug', `\t${topic} (QoS ${qos})`)
      this.#log.line('subscribe', `${id} ${qos} ${topic}`)
    }
    this.#log.line('debug', `Sending SUBACK to ${id}`)
  }

  unsubscribed({ id }: SessionView, filters: readonly string[]): void {
    this.#log.line('debug', `Received UNSUBSCRIBE from ${id}`)
    for (const filter of filters) {
      this.#log.line('debug', `\t${filter}`)
      this.#log.line('unsubscribe', `${id} ${filter}`)
    }
    this.#log.line('debug', `Sending UNSUBACK to ${id}`)
  }
}

class TraceLines implements PacketTrace {
  readonly #log: MosquittoLog

  constructor(log: MosquittoLog) {
    this.#log = log
  }

  publishReceived({ id }: SessionView, packet: TracedPublish): void {
    this.#log.line('debug', `Received PUBLISH from ${id} ${described(packet)}`)
  }

  publishDenied({ id }: SessionView, packet: TracedPublish): void {
    this.#log.line('debug', `Denied PUBLISH from ${id} ${described(packet)}`)
  }

  publishSent({ id }: SessionView, packet: TracedPublish): void {
    this.#log.line('debug', `Sending PUBLISH to ${id} ${described(packet)}`)
  }

  ackReceived({ id }: SessionView, type: AckType, packetId: number, reasonCode: number): void {
    // Only these two say why.
    const reason = type === PacketType.PUBACK || type === PacketType.PUBCOMP ? `, RC:${reasonCode}` : ''
    this.#log.line('debug', `Received ${ACK_NAMES[type]} from ${id} (Mid: ${packetId}${reason})`)
  }

  ackSent({ id }: SessionView, type: AckType, packetId: number, reasonCode: number): void {
    const reason = type === PacketType.PUBACK || type === PacketType.PUBREC ? `, rc${reasonCode}` : ''
    this.#log.line('debug', `Sending ${ACK_NAMES[type]} to ${id} (m${packetId}${reason})`)
  }
}

function welcome({ id, version, clean, keepalive, userName, details }: SessionView): string {
  const protocol = PROTOCOLS[version ?? 4]
  const user = userName === undefined ? '' : `, u'${userName}'`
  return `New client connected from ${addressOf(details)} as ${id} (p${protocol}, c${clean ? 1 : 0}, k${keepalive}${user}).`
}

function described({ topic, qos, retain, dup, packetId, payload }: TracedPublish): string {
  return `(d${dup ? 1 : 0}, q${qos}, r${retain ? 1 : 0}, m${packetId}, '${topic}', ... (${payload.length} bytes))`
}

function addressOf({ remoteAddress, remotePort }: SessionView['details']): string {
  // Mosquitto has no address for a Unix socket either.
  return remoteAddress === undefined ? 'unknown' : `${remoteAddress}:${remotePort}`
}

/** Of a listener's URL; 0 of a Unix socket. */
function portOf(listener = ''): string {
  return /:(\d+)(\/.*)?$/.exec(listener)?.[1] ?? '0'
}
