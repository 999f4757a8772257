/** Random packets of MQTT 3.1, 3.1.1 and 5, as `mqtt-packet` wants them, and random cuts of a stream. */
import fc from 'fast-check'
import { generate, type Packet } from 'mqtt-packet'
import type { ProtocolVersion } from '../../../src/mqtt/packets.ts'

/** A packet in mqtt-packet's words. */
export type Theirs = { cmd: string } & Record<string, unknown>

export const version = fc.constantFrom<ProtocolVersion[]>(3, 4, 5)

export const text = fc.string({ unit: 'binary', maxLength: 12 }).map(s => s.replaceAll('\0', '\ufeff'))
const name = text.map(s => `${s.replaceAll(/[#+]/g, '/')}x`)
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const)
export const packetId = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 65_535 }))
const payload = fc
  .oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.uint8Array({ minLength: 100, maxLength: 200 }),
    fc.constant(new Uint8Array(20_000).fill(9)),
  )
  .map(bytes => Buffer.from(bytes))
const binary = fc.uint8Array({ maxLength: 8 }).map(bytes => Buffer.from(bytes))

const twoBytes = fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 65_535 }))
const fourBytes = fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 4_294_967_295 }))
const variable = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 268_435_455 }))

/** User properties by name. A later empty value would make mqtt-packet forget an earlier one. */
const userProperties = fc
  .array(fc.tuple(fc.oneof(text, fc.constantFrom('a', '__proto__', '1')), name), { minLength: 1, maxLength: 5 })
  .map(pairs => {
    const grouped: Record<string, string | string[]> = Object.create(null)
    for (const [key, value] of pairs) {
      const known = grouped[key]
      if (known === undefined) grouped[key] = value
      else if (Array.isArray(known)) known.push(value)
      else grouped[key] = [known, value]
    }
    return grouped
  })

const PROPERTIES: Record<string, fc.Arbitrary<unknown>> = {
  payloadFormatIndicator: fc.boolean(),
  messageExpiryInterval: fourBytes,
  contentType: text,
  responseTopic: name,
  correlationData: binary,
  subscriptionIdentifier: variable,
  sessionExpiryInterval: fourBytes,
  assignedClientIdentifier: text,
  serverKeepAlive: twoBytes,
  authenticationMethod: text,
  authenticationData: binary,
  requestProblemInformation: fc.boolean(),
  willDelayInterval: fourBytes,
  requestResponseInformation: fc.boolean(),
  responseInformation: text,
  serverReference: text,
  reasonString: text,
  receiveMaximum: twoBytes,
  topicAliasMaximum: twoBytes,
  topicAlias: twoBytes,
  maximumQoS: fc.constantFrom(0, 1),
  retainAvailable: fc.boolean(),
  userProperties,
  maximumPacketSize: fourBytes,
  wildcardSubscriptionAvailable: fc.boolean(),
  subscriptionIdentifiersAvailable: fc.boolean(),
  sharedSubscriptionAvailable: fc.boolean(),
}

/** Some of the properties with these names, in any order. */
export function properties(names: readonly string[]): fc.Arbitrary<Record<string, unknown>> {
  return fc
    .tuple(fc.shuffledSubarray([...names]), fc.tuple(...names.map(each => PROPERTIES[each] as fc.Arbitrary<unknown>)))
    .map(([chosen, values]) => {
      // Authentication data cannot do without a method.
      const allowed = chosen.filter(each => each !== 'authenticationData' || chosen.includes('authenticationMethod'))
      return Object.fromEntries(allowed.map(each => [each, values[names.indexOf(each)]]))
    })
}

export const FORWARDED = ['payloadFormatIndicator', 'contentType', 'responseTopic', 'correlationData', 'userProperties']
const REASON = ['reasonString', 'userProperties']
const WILL = ['willDelayInterval', 'messageExpiryInterval', ...FORWARDED]
const AUTHENTICATION = ['authenticationMethod', 'authenticationData']
const CONNECT = [
  ...['sessionExpiryInterval', 'receiveMaximum', 'maximumPacketSize', 'topicAliasMaximum', 'userProperties'],
  ...['requestResponseInformation', 'requestProblemInformation', ...AUTHENTICATION],
]
const CONNACK = [
  ...['sessionExpiryInterval', 'receiveMaximum', 'maximumQoS', 'retainAvailable', 'maximumPacketSize'],
  ...['assignedClientIdentifier', 'topicAliasMaximum', 'wildcardSubscriptionAvailable', 'serverKeepAlive'],
  ...['subscriptionIdentifiersAvailable', 'sharedSubscriptionAvailable', 'responseInformation', 'serverReference'],
  ...[...AUTHENTICATION, ...REASON],
]

/** Which properties a packet has with MQTT 5, in mqtt-packet's words. The will of a CONNECT is by itself. */
export const PLACES = {
  ...{ connect: CONNECT, connack: CONNACK, will: WILL, ack: REASON, suback: REASON, unsuback: REASON },
  publish: ['topicAlias', 'messageExpiryInterval', ...FORWARDED],
  subscribe: ['subscriptionIdentifier', 'userProperties'],
  unsubscribe: ['userProperties'],
  disconnect: ['sessionExpiryInterval', 'serverReference', ...REASON],
  auth: [...AUTHENTICATION, ...REASON],
}

function place(protocolVersion: ProtocolVersion, where: keyof typeof PLACES): fc.Arbitrary<object> {
  return protocolVersion === 5 ? properties(PLACES[where]).map(chosen => ({ properties: chosen })) : fc.constant({})
}

function join(...parts: fc.Arbitrary<object>[]): fc.Arbitrary<Theirs> {
  return fc.tuple(...parts).map(all => Object.assign({}, ...all) as Theirs)
}

export function publish(protocolVersion: ProtocolVersion): fc.Arbitrary<Theirs> {
  return fc
    .tuple(
      fc.record({ topic: name, payload, qos, retain: fc.boolean(), dup: fc.boolean(), messageId: packetId }),
      place(protocolVersion, 'publish'),
      fc.boolean(),
    )
    .map(([{ messageId, ...rest }, more, withoutTopic]) => {
      const hasAlias = Object.keys((more as { properties?: object }).properties ?? {}).includes('topicAlias')
      return {
        cmd: 'publish',
        ...rest,
        topic: withoutTopic && hasAlias ? '' : rest.topic,
        dup: rest.dup && rest.qos > 0,
        ...(rest.qos > 0 && { messageId }),
        ...more,
      }
    })
}

const PUBLISH_ANSWERS = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
const CODES = { puback: PUBLISH_ANSWERS, pubrec: PUBLISH_ANSWERS, pubrel: [0, 0x92], pubcomp: [0, 0x92] }

export function ack(protocolVersion: ProtocolVersion): fc.Arbitrary<Theirs> {
  return fc.constantFrom('puback' as const, 'pubrec' as const, 'pubrel' as const, 'pubcomp' as const).chain(cmd => {
    const bare = fc.record({ cmd: fc.constant(cmd), messageId: packetId })
    if (protocolVersion !== 5) return bare
    const code = fc.record({ reasonCode: fc.constantFrom(...CODES[cmd]) })
    return join(bare, code, fc.oneof(fc.constant({}), place(5, 'ack')))
  })
}

function connect(protocolVersion: ProtocolVersion): fc.Arbitrary<Theirs> {
  const will = join(
    fc.record({ topic: name, payload: binary, qos, retain: fc.boolean() }) as fc.Arbitrary<object>,
    place(protocolVersion, 'will'),
  )
  const fields = fc
    .record({
      clean: fc.boolean(),
      keepalive: fc.nat(65_535),
      clientId: fc.oneof(name, fc.constant('')),
      user: fc.option(fc.record({ username: text, password: fc.option(binary) })),
      will: fc.option(will),
      bridgeMode: fc.boolean(),
    })
    .map(({ user, will, bridgeMode, ...rest }) => ({
      cmd: 'connect' as const,
      protocolVersion,
      protocolId: protocolVersion === 3 ? ('MQIsdp' as const) : ('MQTT' as const),
      ...rest,
      // mqtt-packet encodes no other.
      clientId: rest.clientId === '' && (protocolVersion === 3 || !rest.clean) ? 'x' : rest.clientId,
      ...(bridgeMode && protocolVersion !== 5 && { bridgeMode }),
      ...(user !== null && { username: user.username }),
      ...(user?.password != null && { password: user.password }),
      ...(will !== null && { will }),
    }))
  return join(fields, place(protocolVersion, 'connect'))
}

function subscribe(protocolVersion: ProtocolVersion): fc.Arbitrary<Theirs> {
  const options =
    protocolVersion === 5
      ? fc.record({ nl: fc.boolean(), rap: fc.boolean(), rh: fc.constantFrom(0, 1, 2) })
      : fc.constant({ nl: false, rap: false, rh: 0 })
  const subscription = join(fc.record({ topic: text, qos }), options)
  const fields = fc.record({
    cmd: fc.constant('subscribe' as const),
    messageId: packetId,
    subscriptions: fc.array(subscription, { minLength: 1, maxLength: 4 }),
  })
  return join(fields, place(protocolVersion, 'subscribe'))
}

function unsubscribe(protocolVersion: ProtocolVersion): fc.Arbitrary<Theirs> {
  const fields = fc.record({
    cmd: fc.constant('unsubscribe' as const),
    messageId: packetId,
    unsubscriptions: fc.array(text, { minLength: 1, maxLength: 4 }),
  })
  return join(fields, place(protocolVersion, 'unsubscribe'))
}

const pingreq: fc.Arbitrary<Theirs> = fc.constant({ cmd: 'pingreq' })

function disconnect(protocolVersion: ProtocolVersion): fc.Arbitrary<Theirs> {
  const bare = fc.constant({ cmd: 'disconnect' })
  if (protocolVersion !== 5) return bare
  return join(
    bare,
    fc.record({ reasonCode: fc.constantFrom(0, 4, 0x80, 0x8e, 0x93, 0x9c, 0xa2) }),
    place(5, 'disconnect'),
  )
}

const auth = join(
  fc.constant({ cmd: 'auth' }),
  fc.record({ reasonCode: fc.constantFrom(0x18, 0x19) }),
  fc.tuple(properties(PLACES.auth), text).map(([chosen, authenticationMethod]) => ({
    properties: { authenticationMethod, ...chosen },
  })),
)

/** What a client of this version sends. */
export function clientPacket(protocolVersion: ProtocolVersion): fc.Arbitrary<Theirs> {
  return fc.oneof(
    { weight: 2, arbitrary: publish(protocolVersion) },
    // Four types.
    { weight: 4, arbitrary: ack(protocolVersion) },
    connect(protocolVersion),
    subscribe(protocolVersion),
    unsubscribe(protocolVersion),
    pingreq,
    disconnect(protocolVersion),
    ...(protocolVersion === 5 ? [auth] : []),
  )
}

/** The bytes of mqtt-packet. */
export function encode(packet: Theirs, protocolVersion: ProtocolVersion): Buffer {
  return generate(packet as unknown as Packet, { protocolVersion })
}

/** `bytes` in chunks with borders wherever `cuts` say, as parts of a thousand. */
export function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const borders = [0, ...cuts.map(cut => Math.floor((cut * bytes.length) / 1_000)), bytes.length].sort((a, b) => a - b)
  return borders.slice(1).map((end, i) => Buffer.from(bytes.subarray(borders[i], end)))
}

export const cuts = fc.oneof(
  fc.array(fc.nat(1_000), { maxLength: 10 }),
  // Cut everywhere.
  fc.constant(Array.from({ length: 1_000 }, (_, i) => i)),
)
