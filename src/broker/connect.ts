/** The beginning of a session: CONNECT is checked, the client let in or not, its session found or made. */
import { randomUUID } from 'node:crypto'
import { BRIDGE_PROPERTY, SPOOL_CLIENT_PREFIX } from '../bridge/ports.ts'
import { connectVersion, type Will as WillPacket } from '../mqtt/connect.ts'
import { type ConnectPacket, decodeControl } from '../mqtt/control.ts'
import { MalformedPacketError, UnacceptableProtocolError } from '../mqtt/malformed.ts'
import type { Properties } from '../mqtt/properties.ts'
import { ReasonCode } from '../mqtt/reason-codes.ts'
import { topicNameFault } from '../mqtt/topics.ts'
import { answerOf } from './answer.ts'
import { type Will, willOf } from './ending.ts'
import type { Hub } from './hub.ts'
import { MemoryQueue } from './memory-queue.ts'
import type { Session } from './session.ts'
import { askedTerms, fixedTerms, NEVER_EXPIRES } from './terms.ts'

/** CONNACK return codes of MQTT 3.x (MQTT 3.1.1 §3.2.2.3), and what MQTT 5 calls the same. */
const RETURN_CODES = [
  ReasonCode.SUCCESS,
  ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
  ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
  ReasonCode.SERVER_UNAVAILABLE,
  ReasonCode.BAD_USER_NAME_OR_PASSWORD,
  ReasonCode.NOT_AUTHORIZED,
] as const

/** A client that is not let in. `reasonCode` as MQTT 5 has it. */
class Refusal extends Error {
  readonly reasonCode: number

  constructor(reasonCode: number, reason: string) {
    super(reason)
    this.reasonCode = reasonCode
  }
}

/**
 * Deals with the CONNECT in `frame`: the client has its CONNACK before this returns, unless something has to be waited for
 * (a hook, a password, a session in the store). A client that must not come in is answered, or its connection just ended.
 */
export async function connect(session: Session, frame: Buffer): Promise<void> {
  const { hub } = session
  try {
    const packet = decode(session, frame)
    // Who has more to say before it is let in is still a stranger.
    if (packet.properties.authenticationMethod === undefined) session.details.onConnect?.()
    const answer = agree(session, packet)
    const welcome = askWhetherWelcome(session, packet)
    if (!(typeof welcome === 'boolean' ? welcome : await welcome)) {
      throw new Refusal(ReasonCode.SERVER_UNAVAILABLE, 'the client is not welcome')
    }
    const authenticated = authenticate(session, packet, answer)
    if (authenticated !== undefined) await authenticated
    if (session.closed) return
    if (!hub.hasRoomFor(session.id)) {
      throw new Refusal(ReasonCode.QUOTA_EXCEEDED, 'there are as many sessions as may be')
    }
    session.register()
    hub.departed.returned(session.id, !session.clean)
    const opened = openSession(session)
    const sessionPresent = typeof opened === 'boolean' ? opened : await opened
    if (!session.closed) accept(session, sessionPresent, answer)
  } catch (error) {
    const isAnswered = error instanceof Refusal || error instanceof UnacceptableProtocolError
    // MQTT 5 may also be told what is wrong with the CONNECT itself [MQTT-3.1.4-1].
    const isTold = isAnswered || (error instanceof MalformedPacketError && session.version === 5)
    if (isTold && !session.closed) refuse(session, error.reasonCode, error.message)
    session.fail(error)
  }
}

/** What the session is to be by its CONNECT. Returns what MQTT 5 is told with CONNACK. Throws what speaks against it. */
function agree(session: Session, packet: ConnectPacket): Properties {
  const { hub } = session
  const isV5 = packet.protocolVersion === 5
  session.clean = packet.clean
  session.isBridge = packet.isBridge
  session.isLink = packet.isBridge || isGateway(packet.properties)
  session.userName = userNameOf(session, packet)
  const { longestExpiry } = hub
  session.terms = isV5 ? askedTerms(packet.properties, longestExpiry) : fixedTerms(packet.clean, longestExpiry)
  const answer: Properties = isV5 ? announce(session, packet) : {}
  identify(session, packet, answer)
  session.keepalive = agreeOnKeepalive(session, packet, answer)
  if (packet.will !== undefined) session.will = acceptWill(session, packet.will)
  return answer
}

function acceptWill(session: Session, asked: WillPacket): Will {
  const { limits } = session.hub
  const fault = topicNameFault(asked.topic, limits.maxTopicLevels)
  if (fault !== undefined) throw new MalformedPacketError(`will: ${fault}`, ReasonCode.TOPIC_NAME_INVALID)
  const { maxQos, mountPoint } = session.rules
  // [MQTT-3.2.2-12]
  if (asked.qos > maxQos) throw new Refusal(ReasonCode.QOS_NOT_SUPPORTED, `the will has a QoS over ${maxQos}`)
  // [MQTT-3.2.2-13]; as Mosquitto does, MQTT 3.x gets no answer.
  if (asked.retain && !limits.retainAvailable) {
    throw new MalformedPacketError('a will cannot be retained here', ReasonCode.RETAIN_NOT_SUPPORTED)
  }
  return willOf({ ...asked, topic: mountPoint + asked.topic })
}

/** The client is in: it is told, and its session is in force. */
function accept(session: Session, sessionPresent: boolean, properties: Properties): void {
  const returnCode = ReasonCode.SUCCESS
  // [MQTT-3.2.2-1] to [MQTT-3.2.2-3]. MQTT 3.1 has no session present flag.
  const isTold = sessionPresent && session.version !== 3
  if (!session.sendControl({ cmd: 'connack', returnCode, sessionPresent: isTold, properties })) {
    throw new Error('the client takes no packet as large as its CONNACK')
  }
  storeWill(session)
  session.hub.emit('connackSent', { returnCode, sessionPresent }, session)
  session.begin()
}

/** MQTT 5 has no bit for a bridge. Another gateway's says so by a user property. */
function isGateway({ userProperties = [] }: Properties): boolean {
  return userProperties.some(([name]) => name === BRIDGE_PROPERTY)
}

function decode(session: Session, frame: Buffer): ConnectPacket {
  const { maxUserProperties } = session.hub.limits
  try {
    const packet = decodeControl(frame, undefined, {
      protocolVersions: session.rules.versions,
      maxUserProperties,
    }) as ConnectPacket
    session.version = packet.protocolVersion
    return packet
  } catch (error) {
    // It says how to answer a packet that cannot be read whole.
    session.version = connectVersion(frame) ?? 4
    throw error
  }
}

/** What the gateway tells an MQTT 5 client of its own limits. */
function announce(session: Session, packet: ConnectPacket): Properties {
  const { requestResponseInformation, sessionExpiryInterval: asked = 0 } = packet.properties
  const { maxPacketSize, maxQos, maxTopicAlias } = session.rules
  const { receiveMaximum, retainAvailable } = session.hub.limits
  const { sessionExpiryInterval } = session.terms
  return {
    receiveMaximum,
    // §3.2.2.3.2 Only said where it is less than was asked for.
    sessionExpiryInterval: sessionExpiryInterval < asked ? sessionExpiryInterval : undefined,
    retainAvailable: retainAvailable ? undefined : false,
    maximumPacketSize: maxPacketSize,
    topicAliasMaximum: maxTopicAlias,
    // [MQTT-3.2.2-9] Only said where it is less than everything.
    maximumQoS: maxQos === 2 ? undefined : maxQos,
    // A client may build response topics below this (§3.2.2.3.15).
    responseInformation: requestResponseInformation === true ? '/Response/' : undefined,
  }
}

/** The user name that the client gives, or has proved by its certificate. */
function userNameOf({ rules, details }: Session, packet: ConnectPacket): string | undefined {
  const { identity = {} } = details
  const { usernameFrom } = rules
  if (usernameFrom === 'connect') return packet.username ?? identity.pskIdentity
  const name = (usernameFrom === 'common_name' ? identity.commonName : identity.subject) ?? identity.pskIdentity
  if (name === undefined || name === '') {
    throw new Refusal(ReasonCode.NOT_AUTHORIZED, 'a client certificate is needed here')
  }
  return name
}

function identify(session: Session, packet: ConnectPacket, answer: Properties): void {
  const { rules } = session
  const clientId = rules.usernameAsClientId ? (session.userName ?? '') : packet.clientId
  if (rules.usernameAsClientId && clientId === '') {
    throw new Refusal(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, 'clients are known by their user names here')
  }
  if (clientId.startsWith(SPOOL_CLIENT_PREFIX)) {
    throw new Refusal(
      ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
      `client identifiers that begin with ${SPOOL_CLIENT_PREFIX} are the gateway's own`,
    )
  }
  session.id = clientId
  const { clientIdPrefixes } = rules
  if (clientIdPrefixes.length > 0 && !clientIdPrefixes.some(prefix => clientId.startsWith(prefix))) {
    throw new Refusal(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, 'client identifiers begin with a given prefix here')
  }
  if (clientId !== '') return
  if (!rules.allowEmptyClientId) {
    throw new Refusal(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, 'a client identifier is needed here')
  }
  // [MQTT-3.1.3-8]; MQTT 5 gives one in any case [MQTT-3.1.3-6] [MQTT-3.1.3-7].
  if (!packet.clean && session.version !== 5) {
    throw new Refusal(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, 'an empty client identifier needs a clean session')
  }
  session.id = rules.autoIdPrefix + randomUUID()
  if (session.version === 5) answer.assignedClientIdentifier = session.id
}

/** Seconds; 0 for none. */
function agreeOnKeepalive(session: Session, packet: ConnectPacket, answer: Properties): number {
  const limit = session.hub.limits.maxKeepalive / 1000
  const { keepalive } = packet
  if (limit === 0 || (keepalive > 0 && keepalive <= limit)) return keepalive
  if (session.version === 5) {
    // [MQTT-3.1.2-21]
    answer.serverKeepAlive = Math.floor(limit)
    return answer.serverKeepAlive
  }
  // As Mosquitto does: MQTT 3.x has no way to tell the client another value.
  throw new Refusal(
    ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
    `a keep alive of ${keepalive} s is over the limit of ${limit} s`,
  )
}

/** Asks aedes' hook. It may answer later. */
function askWhetherWelcome(session: Session, packet: ConnectPacket): boolean | Promise<boolean> {
  return answerOf(answer => session.hub.preConnect(session, packet, (error, success) => answer(!error && success)))
}

/**
 * Enhanced authentication where the client asked for that; else aedes' hook and the password. Returns undefined when the
 * client is let in at once. Throws, or rejects with, a refusal.
 */
function authenticate(session: Session, packet: ConnectPacket, answer: Properties): Promise<void> | undefined {
  if (packet.properties.authenticationMethod !== undefined) return converse(session, packet.properties, answer)
  const refusal = askWhoItIs(session, packet)
  if (refusal instanceof Promise) {
    return refusal.then(refused => {
      if (refused !== null) throw refused
      return checkPassword(session, packet)
    })
  }
  if (refusal !== null) throw refusal
  return checkPassword(session, packet)
}

async function converse(session: Session, asked: Properties, answer: Properties): Promise<void> {
  const { authenticationMethod = '', authenticationData } = asked
  const result = await session.authentication.begin(authenticationMethod, authenticationData)
  session.userName = result.userName
  answer.authenticationMethod = authenticationMethod
  answer.authenticationData = result.data
}

/** Asks aedes' hook. It may answer later. */
function askWhoItIs(session: Session, packet: ConnectPacket): Refusal | null | Promise<Refusal | null> {
  return answerOf(answer =>
    session.hub.authenticate(session, session.userName, packet.password, (error, success) => {
      const returnCode = error?.returnCode ?? (error ? 4 : 5)
      const reasonCode = RETURN_CODES[returnCode] ?? ReasonCode.NOT_AUTHORIZED
      answer(!error && success ? null : new Refusal(reasonCode, 'the client was not let in'))
    }),
  )
}

/** Who has proved by a certificate or a shared key who it is needs no password. */
function checkPassword(session: Session, packet: ConnectPacket): Promise<void> | undefined {
  const { rules, details, userName } = session
  const { access } = rules
  const isProven = rules.usernameFrom !== 'connect' || (details.identity?.pskIdentity !== undefined && !packet.username)
  if (access === null || isProven) return undefined
  const checked = (mayEnter: boolean | null) => {
    if (mayEnter === null) throw new Refusal(ReasonCode.SERVER_UNAVAILABLE, 'the password cannot be checked now')
    if (!mayEnter) throw new Refusal(ReasonCode.NOT_AUTHORIZED, 'the client was not let in')
    if (userName !== undefined) session.userName = access.nameOf(userName)
  }
  const mayEnter = access.mayEnter(userName, packet.password, details.remoteAddress)
  if (mayEnter instanceof Promise) return mayEnter.catch(() => null).then(checked)
  checked(mayEnter)
  return undefined
}

/** Gives the session its queue and its subscriptions. True when there was one before. */
function openSession(session: Session): boolean | Promise<boolean> {
  const { hub, id, terms } = session
  const ending = hub.ending(id)
  const isKnown = ending !== undefined || hub.persistence.queues.find(id) !== undefined
  if (isKnown || terms.sessionExpiryInterval > 0) return openKept(session, ending)
  session.memoryQueue = newMemoryQueue(hub)
  return false
}

/** The same where the store has to do with it. `ending` is the end of the session that there was. */
async function openKept(session: Session, ending: Promise<void> | undefined): Promise<boolean> {
  const { hub, id, terms } = session
  const { queues } = hub.persistence
  await ending
  if (session.closed) return false
  // [MQTT-3.1.2-6]; MQTT 5: [MQTT-3.1.2-4]
  if (session.clean && queues.find(id) !== undefined) await hub.discard(id)
  const isKnown = queues.find(id) !== undefined
  if (!isKnown && terms.sessionExpiryInterval === 0) {
    session.memoryQueue = newMemoryQueue(hub)
    return false
  }
  // [MQTT-3.1.2-4] [MQTT-3.1.2-5]; MQTT 5: [MQTT-3.1.2-5] [MQTT-3.1.2-6]
  const opening = queues.open(id)
  const { sessionExpiryInterval: interval } = terms
  queues.setExpiry(id, { interval: interval === NEVER_EXPIRES ? undefined : interval, leftAt: undefined })
  session.queue = await opening
  if (session.closed && hub.clients[id] === undefined && interval !== NEVER_EXPIRES) {
    // The connection ended meanwhile, and nobody else has taken the session up.
    hub.departed.add(id, interval * 1000, null)
  }
  if (!isKnown) return false
  const subscriptions = await hub.persistence.subscriptionsByClient(session)
  if (!session.closed) session.subscribing.restore(subscriptions)
  return true
}

function newMemoryQueue(hub: Hub): MemoryQueue {
  return new MemoryQueue({ limits: hub.limits, memory: hub.memory, stats: hub.stats })
}

/** Keeps the will where a crash does not lose it, and forgets what an earlier connection left. */
function storeWill(session: Session): void {
  const { hub, will, userName, details } = session
  const { persistence } = hub
  session.isWillStored = will !== null
  void (will === null
    ? persistence.delWill(session)
    : persistence.putWill(session, { ...will, userName, listener: details.listener }))
}

function refuse(session: Session, reasonCode: number, reasonString: string): void {
  session.will = null
  // [MQTT-3.2.2-4] [MQTT-3.2.2-5]
  if (session.version === 5) {
    session.sendControl({ cmd: 'connack', returnCode: reasonCode, sessionPresent: false, properties: { reasonString } })
    session.hub.emit('connackSent', { returnCode: reasonCode, sessionPresent: false }, session)
    return
  }
  const isFull = reasonCode === ReasonCode.QUOTA_EXCEEDED
  const told = isFull ? ReasonCode.SERVER_UNAVAILABLE : reasonCode
  const returnCode = Math.max((RETURN_CODES as readonly number[]).indexOf(told), 1)
  session.sendControl({ cmd: 'connack', returnCode, sessionPresent: false })
  session.hub.emit('connackSent', { returnCode, sessionPresent: false }, session)
}
