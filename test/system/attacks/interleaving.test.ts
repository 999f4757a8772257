/**
 * CVE-2024-8376: CONNECT, DISCONNECT, SUBSCRIBE and UNSUBSCRIBE in any order. Random sequences of packets, valid,
 * out of place and broken, on many connections that share a few client identifiers, cut at random, and ended in
 * every way. Whatever comes of each connection: the gateway goes on, serves others, and keeps nothing.
 */
import fc from 'fast-check'
import { generate, type Packet } from 'mqtt-packet'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RawClient } from '../../support/mqtt-client.ts'
import { within } from '../../support/wait.ts'
import { Attacker, connectPacket, VERSIONS, type Version } from './attacker.ts'
import { Siege } from './siege.ts'

/** Cases for each version. */
const RUNS = 150
/** Connections of one case, all at once. */
const MAX_CONNECTIONS = 8
/** Packets of one connection. */
const MAX_PACKETS = 25

let siege: Siege
beforeAll(async () => {
  siege = await Siege.lay()
})
afterAll(() => siege?.[Symbol.asyncDispose]())

const clientId = fc.constantFrom('shared-1', 'shared-2', 'shared-3')
const topic = fc.constantFrom('x', 'x/y', 'x/y/z')
const filter = fc.constantFrom('x', 'x/+', '#', '+/y/#', '$share/team/x', '$share/team/x/#')
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const)
const messageId = fc.constantFrom(1, 2, 3, 65_535)

function packetOf(version: Version): fc.Arbitrary<Packet> {
  const will = fc.option(fc.record({ topic, payload: fc.constant(Buffer.from('lost')), qos, retain: fc.boolean() }), {
    nil: undefined,
  })
  const connect = fc.record({ clientId, clean: fc.boolean(), will, expiry: fc.constantFrom(0, 1, 60) }).map(
    ({ will, expiry, ...rest }): Packet =>
      connectPacket(version, {
        ...rest,
        ...(will === undefined ? {} : { will }),
        ...(version === 5 ? { properties: { sessionExpiryInterval: expiry } } : {}),
      }),
  )
  const publish = fc.record({ topic, qos, retain: fc.boolean(), dup: fc.boolean(), messageId }).map(
    ({ messageId, dup, qos, ...rest }): Packet => ({
      cmd: 'publish',
      payload: 'x',
      qos,
      dup: dup && qos > 0,
      ...rest,
      ...(qos === 0 ? {} : { messageId }),
    }),
  )
  const acks = fc
    .record({
      cmd: fc.constantFrom('puback' as const, 'pubrec' as const, 'pubrel' as const, 'pubcomp' as const),
      messageId,
    })
    .map((ack): Packet => ack)
  const subscribe = fc
    .record({ messageId, subscriptions: fc.array(fc.record({ topic: filter, qos }), { minLength: 1, maxLength: 3 }) })
    .map((it): Packet => ({ cmd: 'subscribe', ...it }))
  const unsubscribe = fc
    .record({ messageId, unsubscriptions: fc.array(filter, { minLength: 1, maxLength: 3 }) })
    .map((it): Packet => ({ cmd: 'unsubscribe', ...it }))
  return fc.oneof(
    { weight: 2, arbitrary: connect },
    { weight: 4, arbitrary: publish },
    { weight: 2, arbitrary: acks },
    { weight: 4, arbitrary: subscribe },
    { weight: 4, arbitrary: unsubscribe },
    { weight: 1, arbitrary: fc.constantFrom<Packet[]>({ cmd: 'disconnect' }, { cmd: 'pingreq' }) },
  )
}

interface Connection {
  /** CONNECT first, as it should be. */
  isPolite: boolean
  packets: Packet[]
  /** Where the bytes are cut into separate writes. */
  cuts: number[]
  /** One byte turned over, counted from the end of CONNECT; undefined for none. */
  flipped: number | undefined
  end: 'FIN' | 'reset' | 'wait'
}

function connectionOf(version: Version): fc.Arbitrary<Connection> {
  return fc.record({
    isPolite: fc.nat({ max: 9 }).map(n => n > 0),
    packets: fc.array(packetOf(version), { maxLength: MAX_PACKETS, size: 'max' }),
    cuts: fc.array(fc.nat({ max: 600 }), { maxLength: 4 }),
    flipped: fc.option(fc.nat({ max: 400 }), { nil: undefined }),
    end: fc.constantFrom('FIN' as const, 'reset' as const, 'wait' as const),
  })
}

async function play(connection: Connection, version: Version, clientId: string): Promise<void> {
  await using attacker = await Attacker.open(siege.port, version)
  const polite = connection.isPolite ? [connectPacket(version, { clientId, clean: false })] : []
  const head = Buffer.concat(polite.map(packet => generate(packet, { protocolVersion: version })))
  const bytes = Buffer.concat(connection.packets.map(packet => generate(packet, { protocolVersion: version })))
  const at = connection.flipped
  if (at !== undefined && at < bytes.length) bytes[at] = 0xff ^ (bytes[at] as number)
  const all = Buffer.concat([head, bytes])
  let from = 0
  for (const to of [...connection.cuts.filter(cut => cut < all.length).toSorted((a, b) => a - b), all.length]) {
    if (to > from) await attacker.flood(all.subarray(from, to))
    await new Promise(resolve => setImmediate(resolve)) // so that the pieces are written apart
    from = to
  }
  if (connection.end === 'FIN') {
    attacker.socket.end()
    await within(attacker.closed, { what: 'the end of the connection' })
  } else if (connection.end === 'wait' && at === undefined) {
    // Either it is served, or it is thrown out; it is not left hanging. (A byte turned over may announce a long packet.)
    await Promise.race([attacker.ping(), attacker.closed])
  }
}

describe('CVE-2024-8376: packets in any order', () => {
  test.each(VERSIONS)(
    'of MQTT %s, on connections that share their client identifiers',
    { timeout: 180_000 },
    async (_, version) => {
      const cases = fc.array(connectionOf(version), { minLength: 1, maxLength: MAX_CONNECTIONS, size: 'max' })
      await siege.withstand(async () => {
        await fc.assert(
          fc.asyncProperty(cases, async connections => {
            await Promise.all(connections.map((it, index) => play(it, version, `shared-${(index % 3) + 1}`)))
            expect(siege.gateway.process.running).toBe(true)
          }),
          { numRuns: RUNS, interruptAfterTimeLimit: 120_000 },
        )
      })
      // The identifiers are good for an ordinary life again.
      for (const clientId of ['shared-1', 'shared-2', 'shared-3']) {
        await using clean = await RawClient.connect({ port: siege.port, clientId, clean: true })
        await clean.subscribe({ topic: 'again', qos: 2 })
        await clean.publish('again', clientId, { qos: 2 })
        await clean.received(1)
        expect(clean.payloads).toEqual([clientId])
      }
    },
  )
})
