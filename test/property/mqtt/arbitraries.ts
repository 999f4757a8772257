/** Random packets of MQTT 3.1.1, as `mqtt-packet` wants them, and random cuts of a stream. */
import fc from 'fast-check'
import { generate, type Packet } from 'mqtt-packet'

const text = fc.string({ unit: 'binary', maxLength: 12 }).map(s => s.replaceAll('\0', '\ufeff'))
const name = text.map(s => `${s.replaceAll(/[#+]/g, '/')}x`)
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const)
const packetId = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 65_535 }))
const payload = fc
  .oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.uint8Array({ minLength: 100, maxLength: 200 }),
    fc.constant(new Uint8Array(20_000).fill(9)),
  )
  .map(bytes => Buffer.from(bytes))
const binary = fc.uint8Array({ maxLength: 8 }).map(bytes => Buffer.from(bytes))

export const publish = fc
  .record({ topic: name, payload, qos, retain: fc.boolean(), dup: fc.boolean(), messageId: packetId })
  .map(({ messageId, ...rest }) => ({
    cmd: 'publish' as const,
    ...rest,
    dup: rest.dup && rest.qos > 0,
    ...(rest.qos > 0 && { messageId }),
  }))

export const ack = fc.record({
  cmd: fc.constantFrom('puback' as const, 'pubrec' as const, 'pubrel' as const, 'pubcomp' as const),
  messageId: packetId,
})

const connect = fc
  .record({
    protocolVersion: fc.constantFrom(3 as const, 4 as const),
    clean: fc.boolean(),
    keepalive: fc.nat(65_535),
    clientId: name,
    user: fc.option(fc.record({ username: text, password: fc.option(binary) })),
    will: fc.option(fc.record({ topic: name, payload: binary, qos, retain: fc.boolean() })),
  })
  .map(({ user, will, ...rest }) => ({
    cmd: 'connect' as const,
    ...rest,
    protocolId: rest.protocolVersion === 3 ? ('MQIsdp' as const) : ('MQTT' as const),
    ...(user !== null && { username: user.username }),
    ...(user?.password != null && { password: user.password }),
    ...(will !== null && { will }),
  }))

const subscribe = fc.record({
  cmd: fc.constant('subscribe' as const),
  messageId: packetId,
  subscriptions: fc.array(fc.record({ topic: text, qos }), { minLength: 1, maxLength: 4 }),
})

const unsubscribe = fc.record({
  cmd: fc.constant('unsubscribe' as const),
  messageId: packetId,
  unsubscriptions: fc.array(text, { minLength: 1, maxLength: 4 }),
})

const bare = fc.constantFrom({ cmd: 'pingreq' as const }, { cmd: 'disconnect' as const })

/** What a client sends. */
export const clientPacket: fc.Arbitrary<Packet> = fc.oneof(publish, ack, connect, subscribe, unsubscribe, bare)

export function encode(packet: Packet): Buffer {
  return generate(packet)
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
