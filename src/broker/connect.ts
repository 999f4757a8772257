/** The beginning of a session: CONNECT is checked, the client let in or not, its session found or made. */
import { randomUUID } from 'node:crypto'
import { SPOOL_CLIENT_PREFIX } from '../bridge/ports.ts'
import { type ConnectPacket, decodeControl, encodeControl } from '../mqtt/control.ts'
import { MalformedPacketError, UnacceptableProtocolError } from '../mqtt/malformed.ts'
import { Message } from '../mqtt/message.ts'
import { topicNameFault } from '../mqtt/topics.ts'
import { MemoryQueue } from './memory-queue.ts'
import type { Session } from './session.ts'

/** CONNACK return codes (MQTT 3.1.1 §3.2.2.3). */
const ACCEPTED = 0
const UNACCEPTABLE_PROTOCOL = 1
const IDENTIFIER_REJECTED = 2
const SERVER_UNAVAILABLE = 3
const BAD_CREDENTIALS = 4
const NOT_AUTHORIZED = 5

/** Deals with the CONNECT in `frame`. Rejects when the connection must be closed without an answer. */
export async function connect(session: Session, frame: Buffer): Promise<void> {
  const packet = decode(session, frame)
  if (packet === null) return
  const { hub } = session
  session.version = packet.protocolVersion
  session.clean = packet.clean
  session.userName = packet.username
  if (packet.clientId === '' && !packet.clean) {
    // [MQTT-3.1.3-8]
    refuse(session, IDENTIFIER_REJECTED, 'an empty client identifier needs a clean session')
    return
  }
  if (packet.clientId.startsWith(SPOOL_CLIENT_PREFIX)) {
    refuse(
      session,
      IDENTIFIER_REJECTED,
      `client identifiers that begin with ${SPOOL_CLIENT_PREFIX} are the gateway's own`,
    )
    return
  }
  const limit = hub.limits.maxKeepalive
  if (limit > 0 && (packet.keepalive === 0 || packet.keepalive * 1000 > limit)) {
    // As Mosquitto does: MQTT 3.x has no way to tell the client another value.
    refuse(session, IDENTIFIER_REJECTED, `a keep alive of ${packet.keepalive} s is over the limit of ${limit / 1000} s`)
    return
  }
  session.id = packet.clientId === '' ? `larder-${randomUUID()}` : packet.clientId
  if (packet.will !== undefined) {
    const fault = topicNameFault(packet.will.topic, hub.limits.maxTopicLevels)
    if (fault !== undefined) throw new MalformedPacketError(`will: ${fault}`)
    session.will = new Message({ ...packet.will, clientId: session.id })
  }
  const refusal = await authenticate(session, packet)
  if (session.closed) return
  if (refusal !== ACCEPTED) {
    refuse(session, refusal, 'the client was not let in')
    return
  }
  session.register()
  const sessionPresent = await openSession(session)
  if (session.closed) return
  storeWill(session)
  // [MQTT-3.2.2-1] to [MQTT-3.2.2-3]. MQTT 3.1 has no session present flag.
  session.send(
    encodeControl(
      { cmd: 'connack', returnCode: ACCEPTED, sessionPresent: sessionPresent && session.version !== 3 },
      packet.protocolVersion,
    ),
  )
  hub.emit('connackSent', { returnCode: ACCEPTED, sessionPresent }, session)
  session.begin(packet.keepalive)
}

function decode(session: Session, frame: Buffer): ConnectPacket | null {
  try {
    return decodeControl(frame, undefined) as ConnectPacket
  } catch (error) {
    if (!(error instanceof UnacceptableProtocolError)) throw error
    // [MQTT-3.1.2-2]
    refuse(session, UNACCEPTABLE_PROTOCOL, error.reason)
    return null
  }
}

/** Asks aedes' two hooks. Resolves to a CONNACK return code. */
async function authenticate(session: Session, packet: ConnectPacket): Promise<number> {
  const { hub } = session
  const isWelcome = await new Promise<boolean>(resolve => {
    hub.preConnect(session, packet, (error, success) => resolve(!error && success))
  })
  if (!isWelcome) return SERVER_UNAVAILABLE
  const password = typeof packet.password === 'string' ? Buffer.from(packet.password) : packet.password
  return await new Promise<number>(resolve => {
    hub.authenticate(session, packet.username, password, (error, success) => {
      if (error) resolve(error.returnCode ?? BAD_CREDENTIALS)
      else resolve(success ? ACCEPTED : NOT_AUTHORIZED)
    })
  })
}

/** Gives the session its queue and its subscriptions. Resolves to true when there was one before. */
async function openSession(session: Session): Promise<boolean> {
  const { hub, id } = session
  const { queues } = hub.persistence
  if (session.clean) {
    // [MQTT-3.1.2-6]
    if (queues.find(id) !== undefined) await queues.discard(id)
    session.memoryQueue = new MemoryQueue({ limits: hub.limits, onDropped: () => hub.stats.dropped++ })
    return false
  }
  // [MQTT-3.1.2-4] [MQTT-3.1.2-5]
  const isKnown = queues.find(id) !== undefined
  session.queue = await queues.open(id)
  if (isKnown) session.subscribing.restore(await hub.persistence.subscriptionsByClient(session))
  return isKnown
}

/** Keeps the will where a crash does not lose it, and forgets what an earlier connection left. */
function storeWill(session: Session): void {
  const { persistence } = session.hub
  if (session.will === null) {
    void persistence.delWill(session)
    return
  }
  const { topic, payload, qos, retain } = session.will
  void persistence.putWill(session, { topic, payload, qos, retain })
}

function refuse(session: Session, returnCode: number, reason: string): void {
  // [MQTT-3.2.2-4] [MQTT-3.2.2-5]
  session.send(encodeControl({ cmd: 'connack', returnCode, sessionPresent: false }, session.version ?? 4))
  session.will = null
  session.fail(new Error(reason))
}
