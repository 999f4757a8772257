/** Attacks that brought brokers down, named after them: those before CONNECT, by CONNECT, and by many connections. */
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RawClient } from '../../support/mqtt-client.ts'
import { until, within } from '../../support/wait.ts'
import { Attacker, connectBytes, frame, properties, uint16, utf8, VERSIONS, variableLength } from './attacker.ts'
import { Siege } from './siege.ts'

/** `limits.connect_timeout` in ms. */
const CONNECT_TIMEOUT = 2_000
/** `limits.max_keepalive` in seconds. */
const MAX_KEEPALIVE = 60
/** Reason codes of MQTT 5 (§2.4). */
const MALFORMED_PACKET = 0x81
const PROTOCOL_ERROR = 0x82
const SESSION_TAKEN_OVER = 0x8e
const TOPIC_NAME_INVALID = 0x90

let siege: Siege
beforeAll(async () => {
  siege = await Siege.lay([`connect_timeout: ${CONNECT_TIMEOUT}ms`, `max_keepalive: ${MAX_KEEPALIVE}s`])
})
afterAll(() => siege?.[Symbol.asyncDispose]())

describe('CVE-2023-0809: a huge remaining length before CONNECT', () => {
  // By CONNECT and by PUBLISH: as much as can be announced, and as much as a client that was let in may send.
  const CASES = [1, 3].flatMap(type => [268_435_455, 1_500_000].map(length => [type, length] as const))

  test.each(CASES)('of packet type %i, %i bytes, takes no memory', async (type, length) => {
    await siege.withstand(async () => {
      for (let round = 0; round < 2; round++) {
        const attackers = await Promise.all(Array.from({ length: 150 }, () => Attacker.open(siege.port)))
        const bytes = Buffer.concat([Buffer.from([type << 4]), variableLength(length), Buffer.alloc(1024 * 1024)])
        await Promise.all(attackers.map(attacker => attacker.flood(bytes)))
        for (const attacker of attackers) await attacker.thrownOut()
      }
    })
  })

  test('strangers that each send most of the largest CONNECT are bounded together', async () => {
    await siege.withstand(
      async () => {
        const attackers = await Promise.all(Array.from({ length: 1_000 }, () => Attacker.open(siege.port)))
        const bytes = Buffer.concat([Buffer.from([0x10]), variableLength(250_000), Buffer.alloc(240_000)])
        // Whoever comes when all together hold too much is closed while it sends.
        for (const attacker of attackers) attacker.raw(bytes)
        for (const attacker of attackers) await within(attacker.closed, { what: 'the end of a stranger' })
        // 240 MB were sent. Each socket that is read costs a buffer of 64 KiB until V8 collects it, held or not.
      },
      { flat: 160 },
    )
  })
})

describe('CVE-2020-13849: connections that are held open and do nothing', () => {
  test('1,000 that send nothing are closed when their time for CONNECT is over', async () => {
    await siege.withstand(async () => {
      const attackers = await Promise.all(Array.from({ length: 1_000 }, () => Attacker.open(siege.port)))
      for (const attacker of attackers) {
        const closedAt = await within(attacker.closed, { what: 'the end of a silent connection' })
        expect(closedAt - attacker.openedAt).toBeGreaterThan(CONNECT_TIMEOUT - 50)
        expect(closedAt - attacker.openedAt).toBeLessThan(CONNECT_TIMEOUT + 3_000)
      }
    })
  })

  test('100 that send CONNECT byte by byte win no time by that', async () => {
    await siege.withstand(async () => {
      const attackers = await Promise.all(Array.from({ length: 100 }, () => Attacker.open(siege.port)))
      const bytes = connectBytes(4)
      for (let sent = 0; attackers.some(attacker => !attacker.isClosed); sent++) {
        expect(sent, 'bytes of CONNECT that were waited for').toBeLessThan(bytes.length - 1)
        for (const attacker of attackers) attacker.raw(bytes.subarray(sent, sent + 1))
        await pause(CONNECT_TIMEOUT / 10)
      }
      for (const attacker of attackers)
        expect((await attacker.closed) - attacker.openedAt).toBeLessThan(CONNECT_TIMEOUT + 1_000)
    })
  })

  test('200 halves of a WebSocket upgrade are closed too', async () => {
    await siege.withstand(async () => {
      const attackers = await Promise.all(Array.from({ length: 200 }, () => Attacker.open(siege.wsPort)))
      for (const attacker of attackers) attacker.raw(Buffer.from('GET /mqtt HTTP/1.1\r\nHost: x\r\n'))
      for (const attacker of attackers)
        await within(attacker.closed, { what: 'the end of half an upgrade', timeout: 20_000 })
    })
  })

  test.each([0, MAX_KEEPALIVE + 1, 65_535])('a keep alive of %i s is cut or refused', async keepalive => {
    for (const [, version] of VERSIONS) {
      await using attacker = await Attacker.open(siege.port, version)
      attacker.raw(connectBytes(version, { keepalive }))
      const connack = await attacker.next('connack')
      if (version === 5)
        expect(connack).toMatchObject({ reasonCode: 0, properties: { serverKeepAlive: MAX_KEEPALIVE } })
      else expect(connack.returnCode).toBe(2) // as Mosquitto does
    }
  })
})

describe('CVE-2021-28166: a client that sends CONNACK', () => {
  const CONNACK: Record<number, Buffer> = { 3: frame(0x20, [0, 0]), 4: frame(0x20, [0, 0]), 5: frame(0x20, [0, 0, 0]) }

  test.each(VERSIONS)('of MQTT %s is thrown out, before CONNECT and after it', async (_, version) => {
    await siege.withstand(async () => {
      for (let round = 0; round < 300; round++) {
        await using early = await Attacker.open(siege.port)
        early.raw(CONNACK[version] as Buffer)
        await early.thrownOut()
        await using late = await Attacker.connect(siege.port, version)
        late.raw(CONNACK[version] as Buffer)
        await late.thrownOut(PROTOCOL_ERROR)
      }
    })
  })
})

describe('CVE-2023-3592: a will with properties that are none of a will', () => {
  // Every property of the standard that a will may not have, with a valid value (§2.2.2.2).
  const WRONG: [string, Uint8Array][] = [
    ['Subscription Identifier', Buffer.from([0x0b, 1])],
    ['Session Expiry Interval', Buffer.from([0x11, 0, 0, 0, 1])],
    ['Assigned Client Identifier', Buffer.concat([Buffer.from([0x12]), utf8('x'.repeat(1_000))])],
    ['Server Keep Alive', Buffer.from([0x13, 0, 1])],
    ['Authentication Method', Buffer.concat([Buffer.from([0x15]), utf8('x'.repeat(1_000))])],
    ['Authentication Data', Buffer.concat([Buffer.from([0x16]), utf8('x'.repeat(1_000))])],
    ['Request Problem Information', Buffer.from([0x17, 1])],
    ['Request Response Information', Buffer.from([0x19, 1])],
    ['Response Information', Buffer.concat([Buffer.from([0x1a]), utf8('x'.repeat(1_000))])],
    ['Server Reference', Buffer.concat([Buffer.from([0x1c]), utf8('x'.repeat(1_000))])],
    ['Reason String', Buffer.concat([Buffer.from([0x1f]), utf8('x'.repeat(1_000))])],
    ['Receive Maximum', Buffer.from([0x21, 0, 1])],
    ['Topic Alias Maximum', Buffer.from([0x22, 0, 1])],
    ['Topic Alias', Buffer.from([0x23, 0, 1])],
    ['Maximum QoS', Buffer.from([0x24, 1])],
    ['Retain Available', Buffer.from([0x25, 1])],
    ['Maximum Packet Size', Buffer.from([0x27, 0, 1, 0, 0])],
    ['Wildcard Subscription Available', Buffer.from([0x28, 1])],
    ['Subscription Identifier Available', Buffer.from([0x29, 1])],
    ['Shared Subscription Available', Buffer.from([0x2a, 1])],
    ['a property that does not exist', Buffer.from([0x7e, 1])],
  ]

  test('is refused, and leaves nothing behind', async () => {
    await siege.withstand(async () => {
      for (let round = 0; round < 300; round++) {
        await Promise.all(
          WRONG.map(async ([, property]) => {
            await using attacker = await Attacker.open(siege.port, 5)
            const will = [properties(Buffer.concat([USER_PROPERTY, property])), utf8('will'), utf8('x'.repeat(10_000))]
            attacker.raw(frame(0x10, utf8('MQTT'), [5, 0x06], uint16(10), properties(), utf8('willing'), ...will))
            await attacker.thrownOut(MALFORMED_PACKET, PROTOCOL_ERROR)
          }),
        )
      }
    })
  })

  /** An allowed one before it, which is what was leaked. */
  const USER_PROPERTY = Buffer.concat([Buffer.from([0x26]), utf8('key'), utf8('y'.repeat(10_000))])
})

describe('CVE-2021-34432: a zero-length topic', () => {
  test.each(VERSIONS)('of a will of MQTT %s is refused', async (_, version) => {
    await using attacker = await Attacker.open(siege.port, version)
    const head = version === 3 ? utf8('MQIsdp') : utf8('MQTT')
    const none = version === 5 ? [properties()] : []
    attacker.raw(
      frame(0x10, head, [version, 0x06], uint16(10), ...none, utf8('empty-will'), ...none, utf8(''), utf8('payload')),
    )
    await attacker.thrownOut(MALFORMED_PACKET, PROTOCOL_ERROR, TOPIC_NAME_INVALID)
    expect(attacker.packets.filter(packet => packet.cmd === 'connack' && packet.returnCode === 0)).toEqual([])
  })
})

describe('a variable length of five bytes (NanoMQ)', () => {
  const LONG = [0x80, 0x80, 0x80, 0x80, 0x01]

  test('before CONNECT closes the connection', async () => {
    await using attacker = await Attacker.open(siege.port)
    attacker.raw(Buffer.from([0x10, ...LONG]))
    await attacker.thrownOut()
  })

  test.each(VERSIONS)('after CONNECT of MQTT %s throws the client out', async (_, version) => {
    for (const header of [0x30, 0x82, 0xa2, 0xc0, 0xe0]) {
      await using attacker = await Attacker.connect(siege.port, version)
      attacker.raw(Buffer.from([header, ...LONG]))
      await attacker.thrownOut(MALFORMED_PACKET)
    }
  })

  test('of the properties throws the client out', async () => {
    await using early = await Attacker.open(siege.port, 5)
    early.raw(frame(0x10, utf8('MQTT'), [5, 2, 0, 10], LONG, utf8('x')))
    await early.thrownOut(MALFORMED_PACKET)
    for (const packet of [
      frame(0x30, utf8('topic'), LONG, [0x61]),
      frame(0x82, [0, 1], LONG, utf8('filter'), [0]),
      frame(0xa2, [0, 1], LONG, utf8('filter')),
      frame(0x40, [0, 1, 0], LONG),
      frame(0xe0, [0], LONG),
    ]) {
      await using attacker = await Attacker.connect(siege.port, 5)
      attacker.raw(packet)
      await attacker.thrownOut(MALFORMED_PACKET)
    }
  })
})

describe('a take-over storm (NanoMQ)', () => {
  test.each(VERSIONS)(
    'of 2,000 connections of MQTT %s with one client identifier leaves exactly one',
    async (_, version) => {
      await siege.withstand(async () => {
        const clientId = `storm-${version}`
        const session = version === 5 ? { properties: { sessionExpiryInterval: 60 } } : {}
        const attackers: Attacker[] = []
        for (let batch = 0; batch < 40; batch++) {
          const opened = await Promise.all(Array.from({ length: 50 }, () => Attacker.open(siege.port, version)))
          const will = { topic: 'storm', payload: Buffer.alloc(1_000), qos: 1 as const, retain: true }
          for (const attacker of opened)
            attacker.raw(connectBytes(version, { clientId, clean: false, will, ...session }))
          attackers.push(...opened)
        }
        await until(() => attackers.filter(attacker => !attacker.isClosed).length <= 1, {
          what: () => `the end of all but one; ${attackers.filter(attacker => !attacker.isClosed).length} are left`,
          timeout: 30_000,
        })
        const [left] = attackers.filter(attacker => !attacker.isClosed)
        await left?.ping()
        expect(left).toBeDefined()
        if (version === 5) {
          // Whoever was let in was told; whoever was overtaken before that need not be.
          const letIn = attackers.filter(({ packets }) => packets.some(packet => packet.cmd === 'connack'))
          for (const attacker of letIn) if (attacker !== left) await attacker.thrownOut(SESSION_TAKEN_OVER)
        }
        for (const attacker of attackers) attacker.socket.destroy()
      })
    },
  )

  test('a session that is resumed again and again while messages come loses none (resume race)', async () => {
    const COUNT = 3_000
    const session = { port: siege.port, clientId: 'race', clean: false, keepalive: 10 } as const
    const first = await RawClient.connect(session)
    await first.subscribe({ topic: 'race', qos: 1 })
    await first.cut()
    const seen: number[] = []
    await siege.withstand(async () => {
      await using pub = await RawClient.connect({ port: siege.port, keepalive: 60 })
      let published = 0
      const publishing = (async () => {
        for (; published < COUNT; published++) await pub.publish('race', String(published), { qos: 1 })
      })()
      while (published < COUNT) {
        // Two at once take the session from each other; one line breaks before its CONNACK, the other after it.
        const racing = await Promise.all([RawClient.open(session), RawClient.open(session)])
        for (const client of racing) client.send({ cmd: 'connect', ...CONNECT, clientId: session.clientId })
        await until(() => racing.some(client => client.others.length > 0), { what: 'an answer', every: 1 })
        for (const client of racing) {
          await client.cut()
          seen.push(...client.payloads.map(Number))
        }
      }
      await publishing
      await using last = await RawClient.connect(session)
      expect(last.sessionPresent).toBe(true)
      const all = (): number[] => [...seen, ...last.payloads.map(Number)]
      await until(() => new Set(all()).size >= COUNT, {
        what: () => `all messages; ${new Set(all()).size} have come`,
        timeout: 30_000,
      })
      seen.push(...last.payloads.map(Number))
    })
    const firsts = [...new Set(seen)]
    expect(firsts).toHaveLength(COUNT)
    expect(firsts).toEqual(firsts.toSorted((a, b) => a - b))
  })

  const CONNECT = { protocolId: 'MQTT', protocolVersion: 4, clean: false, keepalive: 10 } as const
})
