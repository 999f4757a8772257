/** Attacks that brought brokers down, named after them: those by PUBLISH and its properties. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startGateway } from '../../support/gateway.ts'
import { RawClient } from '../../support/mqtt-client.ts'
import { until } from '../../support/wait.ts'
import { startUpstream } from '../../unit/bridge/scripted-upstream.ts'
import { Attacker, connectPacket, frame, properties, uint16, utf8, VERSIONS, variableLength } from './attacker.ts'
import { Siege } from './siege.ts'

const MIB = 1024 * 1024
/** `limits.max_packet_size`. */
const MAX_PACKET = 2 * MIB
/** Reason codes of MQTT 5 (§2.4). */
const MALFORMED_PACKET = 0x81
const PROTOCOL_ERROR = 0x82
const TOPIC_NAME_INVALID = 0x90
const RECEIVE_MAXIMUM_EXCEEDED = 0x93
const PACKET_TOO_LARGE = 0x95
/** Bytes that a client has still to say. */
const GOING_ON = Buffer.alloc(32 * 2 ** 20)
const QUOTA_EXCEEDED = 0x97

let siege: Siege
beforeAll(async () => {
  siege = await Siege.lay([`max_packet_size: ${MAX_PACKET}`])
})
afterAll(() => siege?.[Symbol.asyncDispose]())

test('large messages that have been delivered are held by nobody', async () => {
  const READERS = 80
  const readers: RawClient[] = []
  try {
    for (let i = 0; i < READERS; i++) {
      const reader = await RawClient.connect({ port: siege.port })
      readers.push(reader)
      await reader.subscribe({ topic: `snapshot/${i}`, qos: (i % 2) as 0 | 1 })
    }
    await siege.withstand(async () => {
      await using camera = await RawClient.connect({ port: siege.port })
      const picture = Buffer.alloc(MAX_PACKET - 100)
      for (const [i, reader] of readers.entries()) {
        await camera.publish(`snapshot/${i}`, picture, { qos: 1 })
        await reader.received(1)
        reader.publishes.length = 0
      }
    })
  } finally {
    for (const reader of readers) await reader[Symbol.asyncDispose]()
  }
})

describe('CVE-2023-28366: QoS 2 without PUBREL', () => {
  const PAYLOAD = Buffer.alloc(2_048, 'x')
  const CASES = VERSIONS.flatMap(([name, version]) => [true, false].map(clean => [name, clean, version] as const))

  test.each(CASES)(
    '100,000 times the same identifier, MQTT %s, clean %s: one message',
    async (name, clean, version) => {
      await using sub = await RawClient.connect({ port: siege.port })
      await sub.subscribe({ topic: `repeated/${name}/${clean}`, qos: 2 })
      await siege.withstand(async () => {
        const kept = version === 5 && !clean ? { properties: { sessionExpiryInterval: 60 } } : {}
        await using attacker = await Attacker.connect(siege.port, version, { clean, ...kept })
        const none = version === 5 ? [properties()] : []
        const packet = frame(0x3c, utf8(`repeated/${name}/${clean}`), uint16(7), ...none, PAYLOAD)
        const batch = Buffer.concat(Array.from({ length: 100 }, () => packet))
        for (let sent = 0; sent < 100_000; sent += 100) await attacker.flood(batch)
        await attacker.ping()
        // One that comes when the last was answered is answered again, for that may have been missed [MQTT-4.3.3-2].
        expect(new Set(attacker.packets.map(packet => packet.cmd))).toEqual(new Set(['pubrec']))
        await sub.ping()
        expect(sub.publishes).toHaveLength(1)
      })
    },
  )

  // A session that is kept has its identifiers on disk: what LevelDB and its threads hold meanwhile comes on top.
  test.each([
    [true, 48],
    [false, 100],
  ])('all 65,535 identifiers, MQTT 3.1.1, clean %s: nothing but the identifiers is kept', async (clean, flat) => {
    const attack = async (): Promise<void> => {
      await using attacker = await Attacker.connect(siege.port, 4, { clean, clientId: `all-${clean}` })
      for (let id = 1; id <= 65_535; id++) await attacker.flood(frame(0x34, utf8('all'), uint16(id), PAYLOAD))
      await until(() => attacker.packets.length >= 65_535, {
        what: () => `PUBRECs; ${attacker.packets.length} came`,
        timeout: 60_000,
      })
    }
    await siege.withstand(attack, { flat })
  })

  test('MQTT 5: more than the receive maximum that was announced ends the connection', async () => {
    await siege.withstand(async () => {
      await using attacker = await Attacker.open(siege.port, 5)
      attacker.send(connectPacket(5))
      const announced = (await attacker.next('connack')).properties?.receiveMaximum ?? 65_535
      expect(announced).toBeLessThan(65_535)
      for (let id = 1; id <= announced + 1; id++)
        attacker.raw(frame(0x34, utf8('all'), uint16(id), properties(), PAYLOAD))
      await attacker.thrownOut(RECEIVE_MAXIMUM_EXCEEDED)
    })
  })
})

describe('CVE-2021-34432: a zero-length topic', () => {
  test.each(VERSIONS)('in PUBLISH of MQTT %s throws the client out, and reaches nobody', async (_, version) => {
    await using sub = await RawClient.connect({ port: siege.port })
    await sub.subscribe({ topic: '#', qos: 2 })
    const none = version === 5 ? [properties()] : []
    for (const [header, id] of [
      [0x30, []],
      [0x31, []],
      [0x32, [0, 1]],
      [0x35, [0, 1]],
    ] as const) {
      await using attacker = await Attacker.connect(siege.port, version)
      attacker.raw(frame(header, utf8(''), [...id], ...none, Buffer.from('payload')))
      await attacker.thrownOut(PROTOCOL_ERROR, TOPIC_NAME_INVALID, MALFORMED_PACKET)
    }
    await sub.ping()
    expect(sub.publishes.filter(packet => packet.topic === '')).toEqual([])
  })
})

describe('CVE-2021-41039: thousands of user properties', () => {
  /** What the gateway takes with one packet. */
  const MOST = 1_000
  /** As many as fit into the largest packet: 2 MiB of empty ones would be twenty times that as objects. */
  const FLOOD = Math.floor(MAX_PACKET / 5) - 100

  const userProperties = (count: number, key = 'key'): Buffer => {
    const one = Buffer.concat([Buffer.from([0x26]), utf8(key), utf8('')])
    const bytes = Buffer.alloc(count * one.length, one)
    return Buffer.concat([variableLength(bytes.length), bytes])
  }
  const PACKETS: [string, (list: Buffer) => Buffer][] = [
    ['PUBLISH', list => frame(0x30, utf8('many'), list)],
    ['PUBACK', list => frame(0x40, [0, 1, 0], list)],
    ['PUBREC', list => frame(0x50, [0, 1, 0], list)],
    ['PUBREL', list => frame(0x62, [0, 1, 0], list)],
    ['PUBCOMP', list => frame(0x70, [0, 1, 0], list)],
    ['SUBSCRIBE', list => frame(0x82, [0, 1], list, utf8('many'), [0])],
    ['UNSUBSCRIBE', list => frame(0xa2, [0, 1], list, utf8('many'))],
    ['DISCONNECT', list => frame(0xe0, [0], list)],
  ]

  test.each(PACKETS)('of a %s are too many', async (_, packet) => {
    await siege.withstand(async () => {
      for (let round = 0; round < 20; round++) {
        await using attacker = await Attacker.connect(siege.port, 5)
        await attacker.flood(packet(userProperties(FLOOD, '')))
        await attacker.thrownOut(QUOTA_EXCEEDED)
      }
    })
  })

  test('of a CONNECT are too many', async () => {
    await siege.withstand(async () => {
      for (let round = 0; round < 100; round++) {
        await using attacker = await Attacker.open(siege.port, 5)
        await attacker.flood(frame(0x10, utf8('MQTT'), [5, 2, 0, 10], userProperties(50_000, ''), utf8('many')))
        await attacker.thrownOut(QUOTA_EXCEEDED)
      }
    })
  })

  test('of a will are too many', async () => {
    await using attacker = await Attacker.open(siege.port, 5)
    const will = [userProperties(MOST + 1), utf8('will'), utf8('lost')]
    attacker.raw(frame(0x10, utf8('MQTT'), [5, 6, 0, 10], properties(), utf8('many'), ...will))
    await attacker.thrownOut(QUOTA_EXCEEDED)
  })

  test(`${MOST} of a PUBLISH come out, all and in order`, async () => {
    await using sub = await Attacker.connect(siege.port, 5)
    sub.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'kept', qos: 0 }] })
    await sub.next('suback')
    await using pub = await Attacker.connect(siege.port, 5)
    const values = Array.from({ length: MOST }, (_, index) => String(index))
    pub.send({
      cmd: 'publish',
      topic: 'kept',
      payload: '',
      qos: 0,
      retain: false,
      dup: false,
      properties: { userProperties: { key: values } },
    })
    expect((await sub.next('publish')).properties?.userProperties).toEqual({ key: values })
  })

  test('in a packet that is too large are not read at all', async () => {
    await using attacker = await Attacker.connect(siege.port, 5)
    await attacker.flood(frame(0x30, utf8('many'), userProperties(FLOOD + 200, '')))
    await attacker.thrownOut(PACKET_TOO_LARGE)
  })

  test('and what a client has still to say does not drown why it was thrown out', async () => {
    await using attacker = await Attacker.connect(siege.port, 5)
    // It reads nothing before it has said everything: more than the buffers of the system hold.
    attacker.socket.pause()
    await attacker.flood(Buffer.concat([frame(0x30, utf8('many'), userProperties(FLOOD + 200, '')), GOING_ON]))
    attacker.socket.resume()
    await attacker.thrownOut(PACKET_TOO_LARGE)
  })
})

describe('CVE-2024-3935: crafted PUBLISH from the upstream of a bridge that remaps', () => {
  test.each<[string, Buffer]>([
    ['an empty topic', frame(0x30, utf8(''), Buffer.from('x'))],
    ['a topic that is all prefix', frame(0x30, utf8('home/'), Buffer.from('x'))],
    ['a topic with a wildcard', frame(0x30, utf8('home/#'), Buffer.from('x'))],
    ['65,535 bytes of topic', frame(0x30, utf8('/'.repeat(65_535)), Buffer.from('x'))],
    ['a topic that is longer than its packet', frame(0x32, uint16(60_000), Buffer.from('home'))],
    ['identifier 0', frame(0x32, utf8('home/a'), uint16(0), Buffer.from('x'))],
    ['QoS 3', frame(0x36, utf8('home/a'), uint16(1), Buffer.from('x'))],
    ['a packet type of servers only, out of place', frame(0x90, uint16(9), [0x80])],
    ['PUBREL for nothing', frame(0x62, uint16(9))],
    ['five bytes of length', Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x7f])],
  ])('%s: the bridge goes on, and so does the gateway', async (_, crafted) => {
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd === 'connect') {
        connection.accept()
        if (index < 3) connection.socket.write(crafted) // then it has tired of it
      } else if (packet.cmd === 'publish') {
        connection.acknowledge(packet)
      } else if (packet.cmd === 'disconnect') {
        connection.socket.end()
      }
    })
    const bridge = [
      '  - name: cloud',
      `    url: ${upstream.url}`,
      '    retry: { min: 100ms, max: 200ms }',
      '    out:',
      "      - { filter: 'home/#', remote_prefix: 'far/' }",
    ]
    await using gateway = await startGateway({ config: ['name: Bridged', 'bridges:', ...bridge].join('\n') })
    await using client = await RawClient.connect({ port: gateway.port })
    await client.subscribe({ topic: '#', qos: 1 })
    await client.publish('home/a', 'across', { qos: 1 })
    await until(() => upstream.publishes.some(packet => packet.payload.toString() === 'across'), {
      what: () => `the message upstream\n${gateway.log}`,
    })
    await client.received(1)
    expect(client.payloads).toEqual(['across'])
    await gateway.stop()
  })
})
