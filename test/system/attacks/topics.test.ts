/** Attacks that brought brokers down, named after them: those by topics, filters and the packets that carry them. */
import type { Packet } from 'mqtt-packet'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RawClient } from '../../support/mqtt-client.ts'
import { until } from '../../support/wait.ts'
import { Attacker, frame, properties, uint16, utf8, VERSIONS, type Version } from './attacker.ts'
import { Siege } from './siege.ts'

/** `limits.max_topic_levels` as it is by default; aedes by itself has 100. */
const MAX_LEVELS = 200
/** Reason codes of MQTT 5 (§2.4). */
const MALFORMED_PACKET = 0x81
const PROTOCOL_ERROR = 0x82
const TOPIC_FILTER_INVALID = 0x8f
const TOPIC_NAME_INVALID = 0x90

let siege: Siege
beforeAll(async () => {
  siege = await Siege.lay()
})
afterAll(() => siege?.[Symbol.asyncDispose]())

/** Properties, where the version has them. */
const none = (version: Version): Buffer[] => (version === 5 ? [properties()] : [])

function willOf(version: Version, topic: string): Buffer {
  const head = utf8(version === 3 ? 'MQIsdp' : 'MQTT')
  const will = [...none(version), utf8(topic), utf8('lost')]
  return frame(0x10, head, [version, 0x06, 0, 10], ...none(version), utf8('will'), ...will)
}

/** The packets that carry a topic name or a filter. */
const CARRIERS: [string, (version: Version, topic: string) => Buffer][] = [
  ['PUBLISH of QoS 0', (version, topic) => frame(0x30, utf8(topic), ...none(version))],
  ['PUBLISH of QoS 1, retained', (version, topic) => frame(0x33, utf8(topic), [0, 1], ...none(version), [0x78])],
  ['PUBLISH of QoS 2', (version, topic) => frame(0x34, utf8(topic), [0, 1], ...none(version))],
  ['SUBSCRIBE', (version, topic) => frame(0x82, [0, 1], ...none(version), utf8(topic), [1])],
  ['UNSUBSCRIBE', (version, topic) => frame(0xa2, [0, 1], ...none(version), utf8(topic))],
]
const CASES = VERSIONS.flatMap(([name, version]) =>
  CARRIERS.map(([what, carry]) => [what, name, version, carry] as const),
)

/** Thrown out because of a topic or filter that is too much. */
async function refused(port: number, version: Version, bytes: Buffer): Promise<void> {
  await using attacker = await Attacker.connect(port, version)
  await attacker.flood(bytes)
  await attacker.thrownOut(TOPIC_NAME_INVALID, TOPIC_FILTER_INVALID)
}

describe('CVE-2019-11779: 65,400 slashes', () => {
  const SLASHES = '/'.repeat(65_400)

  test.each(CASES)('in a %s of MQTT %s throw the client out', async (_what, _name, version, carry) => {
    await siege.withstand(async () => {
      for (let round = 0; round < 30; round++) {
        await refused(siege.port, version, carry(version, SLASHES))
        await refused(siege.port, version, carry(version, `a${SLASHES}b`))
      }
    })
  })

  test.each(VERSIONS)('in a will of MQTT %s are refused', async (_, version) => {
    await using attacker = await Attacker.open(siege.port, version)
    attacker.raw(willOf(version, SLASHES))
    await attacker.thrownOut(TOPIC_NAME_INVALID)
  })

  test('are no trouble to a gateway that allows so many levels', { timeout: 120_000 }, async () => {
    await using generous = await Siege.lay(['max_topic_levels: 65535'])
    await generous.withstand(
      async () => {
        await using client = await RawClient.connect({ port: generous.port })
        const topic = '/'.repeat(65_400)
        await client.subscribe(
          { topic, qos: 1 },
          { topic: '+/'.repeat(32_000).concat('#'), qos: 1 },
          { topic: '#', qos: 0 },
        )
        await client.publish(topic, 'one', { qos: 1, retain: true })
        await client.publish(topic.slice(1), 'two', { qos: 1 })
        // The bystander's messages come by '#' too.
        const payloads = (): string[] =>
          client.publishes.filter(packet => packet.topic.startsWith('/')).map(packet => packet.payload.toString())
        await until(() => payloads().length >= 2, { what: 'the live messages' })
        await client.subscribe({ topic: '/#', qos: 1 })
        await until(() => payloads().length >= 3, { what: 'the retained message' })
        expect(payloads()).toEqual(['one', 'two', 'one'])
        await client.publish(topic, '', { qos: 1, retain: true })
      },
      // A level is an object, and there are 200,000 of them.
      { flat: 256 },
    )
  })
})

describe('topics as long as can be that never come again', () => {
  test.each([0, 1] as const)('are not remembered by a gateway that remembers topics (QoS %i)', async qos => {
    await siege.withstand(async () => {
      await using attacker = await Attacker.connect(siege.port, 4)
      const rest = 'x'.repeat(60_000)
      for (let i = 1; i <= 4_000; i++) {
        await attacker.flood(frame(0x30 | (qos << 1), utf8(`${i}/${rest}`), qos === 0 ? [] : uint16(i)))
        attacker.packets.length = 0
      }
      await attacker.ping()
    })
  })
})

describe('GHSA-xxqp-5qx8-gj5q: more topic levels than there may be', () => {
  const levels = (count: number, last = ''): string => Array.from({ length: count }, (_, i) => `l${i}`).join('/') + last

  test.each(CASES)(
    'in a %s of MQTT %s throw the client out; as many as there may be do not',
    async (_what, _name, version, carry) => {
      await refused(siege.port, version, carry(version, levels(MAX_LEVELS + 1)))
      await using honest = await Attacker.connect(siege.port, version)
      honest.raw(carry(version, levels(MAX_LEVELS)))
      await honest.ping()
    },
  )

  test.each(VERSIONS)('in a will of MQTT %s are refused; as many as there may be are not', async (_, version) => {
    await using attacker = await Attacker.open(siege.port, version)
    attacker.raw(willOf(version, levels(MAX_LEVELS + 1)))
    await attacker.thrownOut(TOPIC_NAME_INVALID)
    await using honest = await Attacker.open(siege.port, version)
    honest.raw(willOf(version, levels(MAX_LEVELS)))
    await honest.next('connack')
    await honest.ping()
  })

  test('as many as there may be are matched', async () => {
    await using client = await RawClient.connect({ port: siege.port })
    await client.subscribe({ topic: levels(MAX_LEVELS - 1, '/#'), qos: 1 }, { topic: 'l0/+/l2/#', qos: 1 })
    await client.publish(levels(MAX_LEVELS), 'deep', { qos: 1 })
    await until(() => client.payloads.includes('deep'), { what: 'the message' })
    expect(new Set(client.publishes.map(packet => packet.topic))).toEqual(new Set([levels(MAX_LEVELS)]))
  })
})

describe('GHSA-52qw-whmv-87c5: names that every JavaScript object has', () => {
  const NAMES = [
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'hasOwnProperty',
    'valueOf',
    '__defineGetter__',
    'then',
  ]

  test.each(NAMES)(
    "'%s' is a client identifier, a topic, a filter, a user name and a key like any other",
    async name => {
      await siege.withstand(async () => {
        await using watch = await RawClient.connect({ port: siege.port })
        await watch.subscribe({ topic: `will/${name}`, qos: 1 })
        // As a session that is new, present, kept over a break, and ended.
        const session = { port: siege.port, clientId: name, clean: false, keepalive: 10 }
        const will = { topic: `will/${name}`, payload: 'lost', qos: 1 as const }
        await using first = await RawClient.connect({ ...session, will })
        expect(first.sessionPresent).toBe(false)
        await first.subscribe({ topic: name, qos: 1 }, { topic: `${name}/+/${name}`, qos: 2 })
        await first.publish(`${name}/${name}/${name}`, 'nested', { qos: 2 })
        await first.publish(name, 'plain', { qos: 1, retain: true })
        await first.received(2)
        expect(first.payloads).toEqual(['nested', 'plain'])
        await first.cut()
        await watch.received(1)
        await watch.publish(name, 'missed', { qos: 1 })
        await using second = await RawClient.connect(session)
        expect(second.sessionPresent).toBe(true)
        await second.received(1)
        expect(second.payloads).toEqual(['missed'])
        await second.disconnect()
        await using clean = await RawClient.connect({ ...session, clean: true })
        await clean.subscribe({ topic: name, qos: 0 })
        await clean.received(1)
        expect(clean.payloads).toEqual(['plain'])
        await clean.publish(name, '', { retain: true })

        await using five = await Attacker.connect(siege.port, 5, { clientId: name, username: name })
        five.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: `$share/${name}/${name}`, qos: 0 }] })
        await five.next('suback')
        five.raw(frame(0x30, utf8(name), properties([0x26], utf8(name), utf8(name)), [0x78]))
        expect(await five.next('publish')).toMatchObject({ topic: name })
      })
      // And who never asked for anything has inherited nothing.
      await using other = await RawClient.connect({ port: siege.port, clientId: 'innocent', clean: false })
      expect(other.sessionPresent).toBe(false)
      await other.publish(name, 'x', { qos: 1 })
      await other.ping()
      expect(other.publishes).toEqual([])
      await other.disconnect()
      await using end = await RawClient.connect({ port: siege.port, clientId: 'innocent', clean: true })
      await end.ping()
    },
  )
})

describe('NSWG-ECO-500: a malformed SUBSCRIBE', () => {
  const filter = utf8('filter')
  const BODIES: [string, (version: Version) => Buffer[]][] = [
    ['with nothing in it', () => []],
    ['with half an identifier', () => [Buffer.from([0])]],
    ['with identifier 0', version => [uint16(0), ...none(version), filter, Buffer.from([0])]],
    ['without a filter', version => [uint16(1), ...none(version)]],
    ['with half a length of a filter', version => [uint16(1), ...none(version), Buffer.from([0])]],
    ['with a filter that is longer than the packet', version => [uint16(1), ...none(version), uint16(60_000), filter]],
    ['with a filter and no options', version => [uint16(1), ...none(version), filter]],
    ['whose second filter has no options', version => [uint16(1), ...none(version), filter, Buffer.from([0]), filter]],
    ['with QoS 3', version => [uint16(1), ...none(version), filter, Buffer.from([3])]],
    ['with reserved bits', version => [uint16(1), ...none(version), filter, Buffer.from([0xc0])]],
    ['with an empty filter', version => [uint16(1), ...none(version), utf8(''), Buffer.from([0])]],
    ["with '#' in the middle", version => [uint16(1), ...none(version), utf8('a/#/b'), Buffer.from([0])]],
    ["with '+' in a level", version => [uint16(1), ...none(version), utf8('a+/b'), Buffer.from([0])]],
    ['with U+0000', version => [uint16(1), ...none(version), utf8('a\0b'), Buffer.from([0])]],
    ['with half a character', version => [uint16(1), ...none(version), uint16(1), Buffer.from([0xc3, 0])]],
  ]
  const CASES = VERSIONS.flatMap(([name, version]) =>
    BODIES.map(([what, body]) => [what, name, version, body] as const),
  )

  test.each(CASES)('%s, MQTT %s, throws the client out', async (_what, _name, version, body) => {
    await using attacker = await Attacker.connect(siege.port, version)
    attacker.raw(frame(0x82, ...body(version)))
    await attacker.thrownOut(MALFORMED_PACKET, PROTOCOL_ERROR, TOPIC_FILTER_INVALID)
  })

  test('2,000 of them in a row leave nothing behind', async () => {
    await siege.withstand(async () => {
      for (let round = 0; round < 2_000 / BODIES.length; round++) {
        for (const [, body] of BODIES) {
          await using attacker = await Attacker.connect(siege.port, 4)
          attacker.raw(frame(0x82, ...body(4)))
          await attacker.thrownOut()
        }
      }
    })
  })
})

describe('a shared subscription without a filter (NanoMQ)', () => {
  test.each(['$share/ab', '$share/', '$share//x', '$share/a+b/x', '$share/#/x', '$share/ab/', '$share/ab/a#'])(
    "'%s' is refused by MQTT 5, by SUBACK or by throwing the client out",
    async filter => {
      for (const header of [0x82, 0xa2]) {
        await using attacker = await Attacker.connect(siege.port, 5)
        attacker.raw(frame(header, uint16(1), properties(), utf8(filter), header === 0x82 ? [1] : []))
        const answer = await Promise.race([answerTo(attacker, header), attacker.closed.then(() => undefined)])
        if (answer === undefined) {
          await attacker.thrownOut(MALFORMED_PACKET, PROTOCOL_ERROR, TOPIC_FILTER_INVALID)
        } else {
          const codes = 'granted' in answer ? (answer.granted as number[]) : []
          expect(codes[0]).toBeGreaterThanOrEqual(header === 0x82 ? 0x80 : 0x11)
        }
      }
    },
  )

  async function answerTo(attacker: Attacker, header: number): Promise<Packet | undefined> {
    return await attacker.next(header === 0x82 ? 'suback' : 'unsuback').catch(() => undefined)
  }

  test.each(VERSIONS)('nobody is harmed by it, MQTT %s', async (_, version) => {
    await siege.withstand(async () => {
      for (let round = 0; round < 200; round++) {
        await using attacker = await Attacker.connect(siege.port, version, { clientId: 'sharing', clean: false })
        attacker.raw(frame(0x82, uint16(1), ...none(version), utf8('$share/ab'), [1]))
        attacker.raw(frame(0x30, utf8('$share/ab'), ...none(version), [0x78]))
        await Promise.race([attacker.ping().catch(() => {}), attacker.closed])
      }
    })
  })
})
