/** The gateway inside another program, as the README shows it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createGateway, type Gateway, LarderError, type SourceEvents, silentLog } from '../../src/index.ts'
import { until } from '../support/wait.ts'

let folder: string
let gateway: Gateway | undefined
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-embedded-'))
})
afterEach(async () => {
  await gateway?.stop()
  gateway = undefined
  await rm(folder, { recursive: true, force: true })
})

function build(settings: Record<string, unknown> = {}): Gateway {
  gateway = createGateway({ data_dir: folder, listeners: ['mqtt://127.0.0.1:0'], ...settings }, { log: silentLog })
  return gateway
}

test('starts, publishes to clients and listens to them, stops, and keeps what is retained', async () => {
  const first = build()
  await first.start()
  const heard: string[] = []
  const unsubscribe = first.subscribe('/Home/#', (topic, payload, retained) => {
    heard.push(`${topic} ${payload} ${retained}`)
  })
  const client = await connectAsync(first.addresses()[0] as string)
  const received: string[] = []
  client.on('message', (topic, payload) => received.push(`${topic} ${payload}`))
  await client.subscribeAsync('/Home/#', { qos: 1 })
  await first.publish('/Home/Kitchen/Note', 'bread', { qos: 1, retain: true })
  await until(() => received.length === 1, { what: 'the message at the client' })
  expect(received).toEqual(['/Home/Kitchen/Note bread'])
  await client.publishAsync('/Home/Hall/Note', 'milk', { qos: 1 })
  expect(heard).toEqual(['/Home/Kitchen/Note bread false', '/Home/Hall/Note milk false'])
  unsubscribe()
  await client.publishAsync('/Home/Hall/Note', 'eggs', { qos: 1 })
  expect(heard).toHaveLength(2)
  await client.endAsync()
  await first.stop()

  const second = build()
  await second.start()
  second.subscribe('/Home/+/Note', (topic, payload, retained) => heard.push(`${topic} ${payload} ${retained}`))
  expect(heard.at(-1)).toBe('/Home/Kitchen/Note bread true')
})

test('takes a source of the program: readings, availability, commands', async () => {
  const kitchen = build()
  await kitchen.start()
  const heard: string[] = []
  kitchen.subscribe('/Home/Kitchen/#', (topic, payload) => heard.push(`${topic} ${payload}`))
  let events: SourceEvents | undefined
  const commands: string[] = []
  await kitchen.addSource(
    { room: 'Kitchen', name: 'Kettle' },
    {
      async start(given) {
        events = given
        given.available(true)
      },
      async stop() {},
      async command(payload) {
        commands.push(payload)
      },
    },
  )
  events?.reading({ value: 96.5 })
  await until(() => heard.includes('/Home/Kitchen/Kettle 96.5'), { what: 'the reading' })
  expect(heard).toContain('/Home/Kitchen/Kettle/availability online')
  await kitchen.publish('/Home/Kitchen/Kettle/set', 'off', { qos: 1 })
  await until(() => commands.length > 0, { what: 'the command' })
  expect(commands).toEqual(['off'])
  await kitchen.stop()
  expect(heard.at(-1)).toBe('/Home/Kitchen/Kettle/availability offline')
  gateway = undefined
})

test('aedes hooks decide who comes in and who may publish what', async () => {
  gateway = createGateway(
    { data_dir: folder, listeners: ['mqtt://127.0.0.1:0'] },
    {
      log: silentLog,
      hooks: {
        authenticate: (_session, userName, password, callback) =>
          callback(null, userName === 'cook' && password?.toString() === 'salt'),
        // Answers later, as one that asks a database would.
        authorizePublish: (_session, message, callback) =>
          void setImmediate(() => callback(message.topic === 'forbidden' ? new Error('no') : null)),
      },
    },
  )
  await gateway.start()
  const [address = ''] = gateway.addresses()
  await expect(connectAsync(address, { username: 'cook', password: 'pepper', reconnectPeriod: 0 })).rejects.toThrow(
    /Not authorized/,
  )
  const heard: string[] = []
  gateway.subscribe('#', (topic, payload) => topic.startsWith('$') || heard.push(`${topic} ${payload}`))
  const client = await connectAsync(address, { username: 'cook', password: 'salt' })
  const published = Array.from({ length: 100 }, (_, i) =>
    client.publishAsync(i % 10 === 0 ? 'forbidden' : 'allowed', String(i), { qos: 1 }),
  )
  await Promise.all(published)
  const expected = Array.from({ length: 100 }, (_, i) => i).filter(i => i % 10 !== 0)
  expect(heard).toEqual(expected.map(i => `allowed ${i}`))
  await client.endAsync()
})

test('settings with faults are refused, all of them at once', () => {
  const build = () => createGateway({ lisetners: [], limits: { max_inflight: 0 } })
  expect(build).toThrow(LarderError)
  expect(build).toThrow(/did you mean 'listeners'/)
  expect(build).toThrow(/max_inflight/)
})

test('a start that fails leaves nothing behind: the same folder opens again', async () => {
  const holder = build()
  await holder.start()
  const port = new URL(holder.addresses()[0] as string).port
  const other = createGateway(
    { data_dir: join(folder, 'other'), listeners: [`mqtt://127.0.0.1:${port}`] },
    { log: silentLog },
  )
  await expect(other.start()).rejects.toMatchObject({ code: 'LISTEN_IN_USE' })
  const again = createGateway(
    { data_dir: join(folder, 'other'), listeners: ['mqtt://127.0.0.1:0'] },
    { log: silentLog },
  )
  await again.start()
  await again.stop()
})
