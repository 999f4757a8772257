/** `limits.max_session_expiry` and `limits.max_sessions`: how long sessions outlive their connections, and how many. */
import type { IConnackPacket } from 'mqtt-packet'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Limited, startLimited } from '../support/limited.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { RawClient, type RawClientOptions } from '../support/mqtt-client.ts'
import { until } from '../support/wait.ts'
import { Attacker, connectPacket } from './attacks/attacker.ts'

const QUOTA_EXCEEDED = 0x97
const SERVER_UNAVAILABLE = 3

async function connect(options: RawClientOptions): Promise<RawClient> {
  const client = await RawClient.connect(options)
  onTestFinished(() => client[Symbol.asyncDispose]())
  return client
}

async function leave(options: RawClientOptions): Promise<void> {
  const client = await connect({ ...options, clean: false })
  await client.disconnect()
}

/** The CONNACK that MQTT 5 gives a client that asks for this expiry, in seconds. */
async function connackFor(port: number, sessionExpiryInterval: number): Promise<IConnackPacket> {
  const client = await Attacker.open(port, 5)
  onTestFinished(() => client[Symbol.asyncDispose]())
  client.send(connectPacket(5, { clean: false, properties: { sessionExpiryInterval } }))
  return (await client.next('connack')) as IConnackPacket
}

const isThere = ({ gateway }: Limited, clientId: string) => gateway.hub.persistence.queues.find(clientId) !== undefined

describe('max_session_expiry', () => {
  test('MQTT 5 is told when it is less than the client asked for', async () => {
    const { port } = await startLimited({ max_session_expiry: '1h' })
    expect((await connackFor(port, 7_200)).properties).toMatchObject({ sessionExpiryInterval: 3_600 })
    expect((await connackFor(port, 0xffff_ffff)).properties).toMatchObject({ sessionExpiryInterval: 3_600 })
    expect((await connackFor(port, 3_600)).properties).not.toHaveProperty('sessionExpiryInterval')
    expect((await connackFor(port, 0)).properties).not.toHaveProperty('sessionExpiryInterval')
  })

  test.each([4, 5] as const)('a session that nobody comes back for ends: version %i', async protocolVersion => {
    const clock = new ManualClock()
    const limited = await startLimited({ max_session_expiry: '1h' }, { clock })
    const { port } = limited
    await leave({ port, clientId: 'hall', protocolVersion })
    await clock.advance(3_590_000)
    expect(isThere(limited, 'hall')).toBe(true)
    // Coming back begins it anew.
    await leave({ port, clientId: 'hall', protocolVersion })
    await clock.advance(3_590_000)
    expect(isThere(limited, 'hall')).toBe(true)
    await clock.advance(11_000)
    await until(() => !isThere(limited, 'hall'), { what: 'the end of the session' })
  })

  test('DISCONNECT cannot ask for more', async () => {
    const clock = new ManualClock()
    const limited = await startLimited({ max_session_expiry: '1h' }, { clock })
    const client = await connect({ port: limited.port, clientId: 'hall', protocolVersion: 5, clean: false })
    client.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 0xffff_ffff } })
    await client.closed
    await clock.advance(3_601_000)
    await until(() => !isThere(limited, 'hall'), { what: 'the end of the session' })
  })

  test('sessions from before it was set end too, counted from the start', async () => {
    const clock = new ManualClock()
    const before = await startLimited({}, { clock })
    await leave({ port: before.port, clientId: 'hall' })
    await clock.advance(86_400_000)
    const after = await before.restart({ max_session_expiry: '1h' })
    expect(isThere(after, 'hall')).toBe(true)
    await clock.advance(3_590_000)
    expect(isThere(after, 'hall')).toBe(true)
    await clock.advance(11_000)
    await until(() => !isThere(after, 'hall'), { what: 'the end of the session' })
  })
})

describe('a client that takes no packet as large as its CONNACK', () => {
  /** Asks for a session with this expiry, in seconds, and is thrown out without an answer. */
  async function fail(port: number, sessionExpiryInterval: number): Promise<void> {
    const client = await Attacker.open(port, 5)
    onTestFinished(() => client[Symbol.asyncDispose]())
    const properties = { sessionExpiryInterval, maximumPacketSize: 6 }
    const will = { topic: 'will', payload: Buffer.from('lost'), qos: 0 as const, retain: false }
    client.send(connectPacket(5, { clientId: 'hall', clean: false, properties, will }))
    await client.closed
    expect(client.packets).toEqual([])
  }

  test('leaves a session that expires, and no will', async () => {
    const clock = new ManualClock()
    const limited = await startLimited({}, { clock })
    await fail(limited.port, 60)
    expect(isThere(limited, 'hall')).toBe(true)
    expect(await limited.gateway.hub.persistence.delWill({ id: 'hall' })).toBeUndefined()
    await clock.advance(61_000)
    await until(() => !isThere(limited, 'hall'), { what: 'the end of the session' })
  })

  test('ends the session that it took up and did not prolong', async () => {
    const limited = await startLimited({})
    await leave({ port: limited.port, clientId: 'hall' })
    expect(isThere(limited, 'hall')).toBe(true)
    await fail(limited.port, 0)
    await until(() => !isThere(limited, 'hall'), { what: 'the end of the session' })
  })
})

describe('max_sessions', () => {
  test.each([
    [4, SERVER_UNAVAILABLE],
    [5, QUOTA_EXCEEDED],
  ] as const)('counts those that are away; more are refused: version %i', async (version, code) => {
    const { port } = await startLimited({ max_sessions: 3 })
    await leave({ port, clientId: 'away' })
    const here = await connect({ port, clientId: 'here' })
    await connect({ port, clientId: 'kept', clean: false })
    const refused = async (clientId: string) => {
      const client = await Attacker.open(port, version)
      onTestFinished(() => client[Symbol.asyncDispose]())
      client.send(connectPacket(version, { clientId }))
      const connack = await client.next('connack')
      return version === 5 ? connack.reasonCode : connack.returnCode
    }
    expect(await refused('new')).toBe(code)
    // Who has one may come back, and may take it over.
    expect(await refused('away')).toBe(0)
    expect(await refused('kept')).toBe(0)
    await here.disconnect()
    expect(await refused('new')).toBe(0)
  })

  test('spools of bridges do not count', async () => {
    const bridges = [{ name: 'cloud', url: 'mqtt://127.0.0.1:1', out: [{ filter: '#', qos: 1 }] }]
    const { port } = await startLimited({ max_sessions: 1 }, { settings: { bridges } })
    await connect({ port })
  })
})
