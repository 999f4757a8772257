/**
 * One radio receiver that hears many sensors, and a probe that is asked by a schedule: what the built gateway makes
 * of them, as a client of MQTT 5 sees it.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { IPublishPacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { prepareGateway, startGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { openPty } from '../support/pty.ts'
import { PATIENCE, until } from '../support/wait.ts'

const ROOM = '/Home/Kitchen'
/** ms; how devices are doing is told every ten seconds. */
const REPORT_PATIENCE = 10_000 + PATIENCE

/** A client of MQTT 5 that hears `filters`. */
async function listener(port: number, ...filters: string[]) {
  const client = await RawClient.connect({ port, protocolVersion: 5 })
  await client.subscribe(...filters.map(topic => ({ topic, qos: 1 as const })))
  const find = (topic: string, payload?: string): IPublishPacket | undefined =>
    client.publishes.findLast(each => each.topic === topic && (payload === undefined || `${each.payload}` === payload))
  const heard = async (topic: string, payload: string, timeout = PATIENCE): Promise<IPublishPacket> => {
    await until(() => find(topic, payload) !== undefined, {
      what: () =>
        `${payload} on ${topic}; got ${client.publishes.map(each => `${each.topic} ${each.payload}`).join(', ')}`,
      timeout,
    })
    return find(topic, payload)!
  }
  return Object.assign(client, { find, heard })
}

describe.skipIf(!needs('socat'))('a receiver', () => {
  test('has a topic, a silence and a number for each thing that it hears', async () => {
    await using pty = await openPty()
    await using gateway = await startGateway({
      config: `
store: { trust_clock: always }
devices:
  - name: Receiver
    room: Kitchen
    stamp: properties
    qos: 1
    serial: { path: '${pty.path}', codec: json }
    parts:
      - { when: { id: '0001' }, name: Fridge, value: TEMP, scale: 0.1, stale_after: 2s }
      - { when: { id: 7 }, name: Garden, publish: fields, fields: { id: drop, TEMP: { name: temperature, round: 0 } } }
`,
    })
    await using client = await listener(gateway.port, `${ROOM}/#`, '$SYS/broker/devices/#')
    await client.heard(`${ROOM}/Fridge/availability`, 'online')
    await client.heard(`${ROOM}/Garden/availability`, 'online')
    const begun = Date.now()
    pty.write('{"id":"0001","TEMP":41}\n{"id":7,"TEMP":20.7,"HUM":40}\n{"id":9,"TEMP":1}\n{"id":"0001","TEMP":42}\n')

    const { properties } = await client.heard(`${ROOM}/Fridge`, '4.2')
    const { time = '', seq } = Object.fromEntries(Object.entries(properties?.userProperties ?? {})) as Record<
      string,
      string
    >
    expect(seq).toBe('2')
    expect(Math.abs(Date.parse(time) - begun)).toBeLessThan(60_000)
    expect(properties?.messageExpiryInterval).toBeLessThanOrEqual(2)
    await client.heard(`${ROOM}/Garden/temperature`, '21')
    await client.heard(`${ROOM}/Garden/HUM`, '40')
    expect(client.find(`${ROOM}/Garden/id`)).toBeUndefined()
    const other = await client.heard(`${ROOM}/Receiver`, '{"id":9,"TEMP":1}')
    expect(other.properties?.userProperties).toMatchObject({ seq: '1' })

    // Silence: offline, and what was retained is gone; the receiver itself and the other part are still there.
    await client.heard(`${ROOM}/Fridge/availability`, 'offline')
    expect(client.find(`${ROOM}/Garden/availability`, 'offline')).toBeUndefined()
    await until(
      async () => {
        await using late = await listener(gateway.port, `${ROOM}/Fridge`, `${ROOM}/Garden/#`)
        await late.heard(`${ROOM}/Garden/HUM`, '40')
        return late.find(`${ROOM}/Fridge`) === undefined
      },
      { what: 'the retained value to expire', every: 200 },
    )
    pty.write('{"id":"0001","TEMP":50}\n')
    await client.heard(`${ROOM}/Fridge`, '5')
    await until(() => `${client.find(`${ROOM}/Fridge/availability`)?.payload}` === 'online', { what: 'online again' })
    await client.heard('$SYS/broker/devices/Kitchen/Receiver/readings', '5', REPORT_PATIENCE)
    await client.heard('$SYS/broker/devices/Kitchen/Fridge/readings', '3')
    await client.heard('$SYS/broker/devices/Kitchen/Fridge/last_fault', 'nothing was heard of it for 2 s')
    await gateway.stop()
  })
})

test('a schedule asks a device, however seldom it speaks by itself, and only what has moved is told', async () => {
  await using gateway = await prepareGateway({
    config: `
devices:
  topic: house/{room}/{name}
  availability_topic: "{topic}/up"
  list:
    - name: Probe
      room: Kitchen
      scale: 0.001
      deadband: 0.5
      stamp: json
      file: { path: probe, every: 1h }
schedules:
  - { cron: '* * * * * *', poll: Probe }
`,
  })
  const probe = join(gateway.folder, 'probe')
  await writeFile(probe, '4000\n')
  await gateway.start()
  await using client = await listener(gateway.port, 'house/#')
  await client.heard('house/Kitchen/Probe/up', 'online')
  const values = () =>
    client.publishes
      .filter(({ topic }) => topic === 'house/Kitchen/Probe')
      .map(({ payload }) => JSON.parse(`${payload}`) as { value: number; seq: number })
  await until(() => values().length > 0, { what: 'the first reading' })
  await writeFile(probe, '4400\n')
  await until(async () => (await readings(gateway.port)) > 3, {
    what: 'the probe to be asked again and again',
    timeout: REPORT_PATIENCE,
    every: 500,
  })
  await writeFile(probe, '4600\n')
  await until(() => values().at(-1)?.value === 4.6, { what: 'the reading that has moved' })
  expect(values().map(({ value, seq }) => `${value} ${seq}`)).toEqual(['4 1', '4.6 2'])
  await gateway.stop()
})

/** How many readings the gateway says there were of the probe. */
async function readings(port: number): Promise<number> {
  const topic = '$SYS/broker/devices/Kitchen/Probe/readings'
  await using client = await listener(port, topic)
  await until(() => client.find(topic) !== undefined, { what: 'the number of readings' })
  return Number(client.find(topic)?.payload)
}
