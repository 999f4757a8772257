/**
 * Home Assistant's side of the built gateway, played by Debian's clients: what is announced is as Home Assistant wants it, leads
 * to states and commands that work, comes again when it is asked for, and goes with the configuration.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Gateway, prepareGateway } from '../support/gateway.ts'
import { discoveryFaults } from '../support/home-assistant.ts'
import { needs } from '../support/needs.ts'
import { run } from '../support/process.ts'
import { type Sub, startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'

const CONFIG = `
home_assistant:
devices:
  - name: Fridge
    room: Kitchen
    round: 1
    unit: °C
    device_class: temperature
    stale_after: 1m
    file: { path: fridge, every: 100ms }
  - { name: Mode, room: Kitchen, map: { "0": idle, "1": heating, default: unknown }, file: { path: mode, every: 100ms } }
  - { name: Door, room: Hall, device_class: door, map: { on: closed, off: open }, gpio: { pin: 17, direction: in, driver: memory } }
  - { name: Hood, room: Kitchen, stamp: json, gpio: { pin: 27, direction: out, driver: memory } }
  - { name: Gate, room: Garden, gpio: { pin: 24, direction: out, pulse: 200ms, driver: memory } }
  - { name: Gas, room: Cellar, fields: { total: { unit: m³, device_class: gas } }, gpio: { pin: 5, direction: count, driver: memory } }
  - { name: Machine, system: { every: 1s } }
`
const NAMES = ['Door', 'Fridge', 'Gas', 'Gate', 'Hood', 'Larder', 'Mode']
/** Home Assistant is answered within five seconds; this is a busy machine's share on top. */
const ANSWER_TIMEOUT = 20_000

interface Announced {
  device: { name: string }
  availability: { topic: string }[]
  components: Record<string, Record<string, string>>
}

let gateway: Gateway
let sub: Sub

/** What stands announced, by the names of the devices, as `sub` has seen it. */
function announced(of: Sub = sub): Map<string, Announced> {
  const byTopic = new Map<string, string>()
  for (const { topic, payload } of of.messages) {
    if (!topic.endsWith('/config')) continue
    if (payload === '') byTopic.delete(topic)
    else byTopic.set(topic, payload)
  }
  return new Map(
    [...byTopic].map(([topic, payload]) => {
      expect(discoveryFaults(topic, payload)).toEqual([])
      const announcement: Announced = JSON.parse(payload)
      return [announcement.device.name, announcement]
    }),
  )
}

const names = (of: Sub = sub) => [...announced(of).keys()].sort()

async function announce(expected: string[], of: Sub = sub): Promise<void> {
  const what = () => `${expected} to be announced; there are ${names(of)}\n${gateway.log}`
  await until(() => JSON.stringify(names(of)) === JSON.stringify(expected), { what, timeout: ANSWER_TIMEOUT })
}

function listen(): Promise<Sub> {
  return startSub({ port: gateway.port, topics: ['homeassistant/#', '/Home/#'], args: ['-V', 'mqttv5'] })
}

/** The first component of a device that has one of this platform. */
function component(device: string, platform: string): Record<string, string> {
  const found = Object.values(announced().get(device)?.components ?? {}).find(each => each.platform === platform)
  if (found === undefined) throw new Error(`${device} has no ${platform}`)
  return found
}

async function publish(topic: string, payload: string, ...args: string[]): Promise<void> {
  const to = ['-h', '127.0.0.1', '-p', `${gateway.port}`, '-V', 'mqttv5']
  const { code, errors } = await run('mosquitto_pub', [...to, '-t', topic, '-m', payload, ...args])
  if (code !== 0) throw new Error(errors.join('\n'))
}

/** As Home Assistant sends what an entity commands. */
function command(
  { command_topic: topic = '', qos, message_expiry_interval: expiry }: Record<string, string>,
  payload = '',
) {
  return publish(topic, payload, '-q', `${qos}`, '-D', 'PUBLISH', 'message-expiry-interval', `${expiry}`)
}

async function withoutDevice(name: string): Promise<void> {
  const file = join(gateway.folder, 'larder.yaml')
  const text = await readFile(file, 'utf8')
  const left = text.replace(new RegExp(`^ {2}- (\\{ )?name: ${name}\\b.*\\n( {4}.*\\n)*`, 'm'), '')
  expect(left).not.toBe(text)
  await writeFile(file, left)
}

describe.skipIf(!needs('mosquitto_sub'))('Home Assistant', () => {
  beforeAll(async () => {
    gateway = await prepareGateway({ config: CONFIG })
    await mkdir(gateway.folder, { recursive: true })
    await writeFile(join(gateway.folder, 'fridge'), '4.31\n')
    await writeFile(join(gateway.folder, 'mode'), '1\n')
    await gateway.start()
    sub = await listen()
  })
  afterAll(async () => {
    await sub?.[Symbol.asyncDispose]()
    await gateway?.[Symbol.asyncDispose]()
  })

  test('is told of every device, in a form that it takes', async () => {
    await announce(NAMES)
    expect(component('Fridge', 'sensor')).toMatchObject({ unit_of_measurement: '°C', expire_after: 60, name: null })
    expect(component('Mode', 'sensor')).toMatchObject({ options: ['idle', 'heating', 'unknown'] })
    expect(component('Door', 'binary_sensor')).toMatchObject({ payload_on: 'closed', payload_off: 'open' })
    expect(Object.keys(announced().get('Gas')?.components ?? {})).toHaveLength(2)
    expect(Object.keys(announced().get('Larder')?.components ?? {}).length).toBeGreaterThan(5)
  })

  test('finds a state and an availability behind each of them', async () => {
    for (const { availability, components } of announced().values()) {
      const topics = [
        ...availability.map(({ topic }) => topic),
        ...Object.values(components).flatMap(each => each.state_topic ?? []),
      ]
      for (const topic of topics) await sub.message(message => message.topic === topic, `a message on ${topic}`)
      for (const { topic } of availability) {
        await sub.message(message => message.topic === topic && message.payload === 'online', `online on ${topic}`)
      }
    }
  })

  test('switches, and presses a button', async () => {
    const hood = component('Hood', 'switch')
    await command(hood, hood.payload_on)
    const isOn = ({ topic, payload }: { topic: string; payload: string }) =>
      topic === hood.state_topic && JSON.parse(payload).value === hood.state_on
    await sub.message(isOn, 'the hood to be on')
    const gate = component('Gate', 'button')
    await command(gate, gate.payload_press)
    const states = () => sub.messages.filter(({ topic }) => topic === '/Home/Garden/Gate').map(({ payload }) => payload)
    await until(() => states().slice(-2).join() === 'on,off', { what: () => `the gate on and off: ${states()}` })
  })

  test('is told everything again when it has started', async () => {
    const before = sub.messages.length
    await publish('homeassistant/status', 'online')
    const again = () =>
      new Set(sub.messages.slice(before).flatMap(({ topic }) => (topic.endsWith('/config') ? topic : [])))
    await until(() => again().size === NAMES.length, { what: 'all announcements again', timeout: ANSWER_TIMEOUT })
  })

  test('is told what is gone, at a reload', async () => {
    await withoutDevice('Mode')
    process.kill(gateway.pid, 'SIGHUP')
    await announce(NAMES.filter(name => name !== 'Mode'))
  })

  test('is told what is gone after a restart, and nothing new of what has stayed', async () => {
    await gateway.stop()
    await withoutDevice('Fridge')
    await gateway.start()
    const left = NAMES.filter(name => name !== 'Mode' && name !== 'Fridge')
    await using after = await listen()
    await announce(left, after)
    const stale = after.messages.filter(({ topic, retain }) => topic.endsWith('/config') && !retain)
    expect(stale).toEqual([])
  })
})
