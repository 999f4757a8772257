/**
 * A machine without a clock battery: it believes that it is 2020, until the network tells it better; and some tell it worse
 * again. The whole gateway goes through that with something under way in each of its parts, and nothing may notice.
 */
import type { IConnectPacket, IPublishPacket } from 'mqtt-packet'
import { describe, expect, onTestFinished, test } from 'vitest'
import { FakeTime } from '../support/fake-time.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { type Mosquitto, startMosquitto } from '../support/mosquitto.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { openPty, type Pty } from '../support/pty.ts'
import { until } from '../support/wait.ts'

const DAY_MS = 86_400_000
/** Whole days before now in ms, so that the time of day is the same: what is daily is never due here. */
const IN_2020 = -Math.floor((Date.now() - Date.UTC(2020, 0, 1)) / DAY_MS) * DAY_MS
const TODAY = 0
/** What everything that expires or waits has left, in s. */
const HOUR = 3_600
/** Runs of the schedule that comes each second, from which on whatever a jump set off has happened. */
const ENOUGH_RUNS = 3

const canRun = ['faketime', 'mosquitto', 'socat'].every(name => needs(name))

describe.skipIf(!canRun)('a clock that is wrong at the start', { timeout: 120_000 }, () => {
  // Now and then, libfaketime loses a thread of the process that it deceives.
  test('may be set, and set back, and nobody notices', { retry: 2 }, async () => {
    await using time = await FakeTime.make(IN_2020)
    await using home = await Household.begin(time)
    const { gateway } = home
    await using idle = await RawClient.connect({ port: gateway.port, keepalive: 60 })
    await using watcher = await RawClient.connect({ port: gateway.port, keepalive: 60, protocolVersion: 5 })
    await watcher.subscribe({ topic: '#', qos: 1 }, { topic: '$SYS/broker/bridges/#', qos: 0 })
    const heard = (topic: string) => watcher.publishes.filter(packet => packet.topic === topic)
    await mourner(gateway, 'in an hour', HOUR)

    for (const [jump, offset] of [TODAY, IN_2020, TODAY].entries()) {
      await mourner(gateway, `soon ${jump}`, 2)
      const [began, before] = [performance.now(), heard('ran/secondly').length]
      await time.jump(offset)
      await home.carries(`jump ${jump}`)
      const runs = heard('ran/secondly').length - before
      expect(runs).toBeLessThanOrEqual((performance.now() - began) / 1000 + 2)
      await until(() => heard(`will/soon ${jump}`).length > 0, { what: 'a will that was due after two seconds' })
    }

    expect(heard('ran/daily')).toEqual([])
    expect(heard('will/in an hour')).toEqual([])
    expect(heard('/Home/Kitchen/Thermometer/availability').map(({ payload }) => `${payload}`)).toEqual(['online'])
    expect([idle.open, watcher.open]).toEqual([true, true])
    expect(home.upstream.logs().match(/as home \(/g)).toHaveLength(1)
    expect(gateway.stderr).not.toMatch(/"level":(40|50|60)/)
    await home.isWhole()
  })

  test('may be wrong again after a restart', { retry: 2 }, async () => {
    await using time = await FakeTime.make(IN_2020)
    await using home = await Household.begin(time)
    const { gateway } = home
    await time.jump(TODAY)
    await home.carries('today')
    await gateway.kill()
    await time.jump(IN_2020)
    await gateway.start()
    await home.carries('killed')
    await home.isWhole()
    await time.jump(TODAY)
    await home.carries('right again')
    await time.jump(IN_2020)
    await home.carries('set back')
    await gateway.restart()
    await time.jump(TODAY)
    await home.carries('right at last')
    await home.isWhole()
  })
})

/** A gateway with a thermometer, schedules, a bridge, a sleeping session and messages that expire. */
class Household implements AsyncDisposable {
  readonly gateway: Gateway
  readonly upstream: Mosquitto
  readonly #cable: Pty

  private constructor(parts: { gateway: Gateway; upstream: Mosquitto; cable: Pty }) {
    this.gateway = parts.gateway
    this.upstream = parts.upstream
    this.#cable = parts.cable
  }

  static async begin(time: FakeTime): Promise<Household> {
    const upstream = await startMosquitto()
    onTestFinished(() => upstream.remove())
    const cable = await openPty()
    onTestFinished(() => cable.close())
    const otherHour = (new Date().getUTCHours() + 12) % 24
    const config = `
name: Home
devices:
  - { name: Thermometer, room: Kitchen, serial: { path: '${cable.path}', codec: json }, stale_after: 1h }
schedules:
  - { name: secondly, cron: '* * * * * *', publish: { topic: ran/secondly, payload: now } }
  - { name: daily, cron: '0 ${otherHour} * * *', timezone: UTC, missed: once, publish: { topic: ran/daily, payload: now } }
bridges:
  - { name: cloud, url: 'mqtt://127.0.0.1:${upstream.port}', client_id: home, out: [{ filter: up/# }] }`
    const gateway = await startGateway({ config, env: time.env })
    const home = new Household({ gateway, upstream, cable })
    await using sleeper = await home.#wake()
    await sleeper.subscribe({ topic: 'queued/#', qos: 1 })
    await sleeper.disconnect()
    await home.#publish({ topic: 'queued/1', payload: 'lasts an hour' })
    await home.#publish({ topic: 'kept/1', payload: 'lasts an hour', retain: true })
    await home.carries('begin')
    return home
  }

  /** What the thermometer says and what goes upstream arrives, and seconds pass. */
  async carries(payload: string): Promise<void> {
    await using above = await RawClient.connect({ port: this.upstream.port })
    await using here = await RawClient.connect({ port: this.gateway.port })
    await above.subscribe({ topic: 'up/#', qos: 1 })
    await here.subscribe({ topic: '/Home/Kitchen/#', qos: 1 }, { topic: 'ran/secondly', qos: 0 })
    await this.#publish({ topic: 'up/t', payload })
    await until(() => above.payloads.includes(payload), { what: () => `${payload} upstream; ${this.gateway.log}` })
    await until(
      () => {
        this.#cable.write(`{"note": "${payload}"}\n`)
        return here.payloads.some(each => each.includes(payload))
      },
      { every: 200, what: () => `${payload} of the thermometer; ${here.payloads}` },
    )
    const runs = () => here.publishes.filter(({ topic }) => topic === 'ran/secondly').length
    await until(() => runs() >= ENOUGH_RUNS, { what: () => `${runs()} runs; ${this.gateway.log}` })
  }

  /** The sleeping session is there, and what was to last an hour has about that left. */
  async isWhole(): Promise<void> {
    await using sleeper = await this.#wake()
    expect(sleeper.sessionPresent).toBe(true)
    await sleeper.subscribe({ topic: 'kept/#', qos: 1 })
    await until(() => sleeper.publishes.length >= 2, { what: () => `two messages; got ${sleeper.payloads}` })
    const left = (packet: IPublishPacket) => packet.properties?.messageExpiryInterval ?? 0
    expect(sleeper.publishes.map(({ topic }) => topic).sort()).toEqual(['kept/1', 'queued/1'])
    for (const packet of sleeper.publishes) {
      expect(left(packet)).toBeGreaterThan(HOUR - 120)
      expect(left(packet)).toBeLessThanOrEqual(HOUR)
    }
    await sleeper.disconnect()
    await this.#publish({ topic: 'queued/1', payload: 'lasts an hour' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway[Symbol.asyncDispose]()
  }

  async #wake(): Promise<RawClient> {
    return await connect(this.gateway, {
      clientId: 'sleeper',
      clean: false,
      properties: { sessionExpiryInterval: HOUR },
    })
  }

  async #publish(message: { topic: string; payload: string; retain?: boolean }): Promise<void> {
    await using client = await connect(this.gateway, { clientId: 'publisher', clean: true })
    const properties = { messageExpiryInterval: HOUR }
    client.send({ cmd: 'publish', qos: 1, messageId: 1, dup: false, retain: false, properties, ...message })
    await client.next('puback', 1)
  }
}

/** A client whose line is cut, and whose will comes `delay` seconds later. */
async function mourner(gateway: Gateway, name: string, delay: number): Promise<void> {
  const will = { topic: `will/${name}`, payload: name, qos: 1, retain: false } as const
  const client = await connect(gateway, {
    clientId: name,
    clean: true,
    properties: { sessionExpiryInterval: 2 * HOUR },
    will: { ...will, payload: Buffer.from(name), properties: { willDelayInterval: delay } },
  })
  await client.cut()
}

/** Connects by MQTT 5, with properties. */
async function connect(gateway: Gateway, packet: Pick<IConnectPacket, 'clientId' | 'clean' | 'properties' | 'will'>) {
  const client = await RawClient.open({ port: gateway.port, protocolVersion: 5 })
  client.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, keepalive: 60, ...packet })
  await client.next('connack')
  return client
}
