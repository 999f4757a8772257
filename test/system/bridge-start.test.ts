/** When a bridge of the whole gateway connects: lazily, once, and as soon as the clock of the machine is right. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Authority } from '../support/certificates.ts'
import { FakeTime } from '../support/fake-time.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { type Mosquitto, startMosquitto } from '../support/mosquitto.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'

const config = (port: number, more: string): string => `
name: Cottage
bridges:
  - name: cloud
    url: mqtt://127.0.0.1:${port}
    client_id: cottage
    retry: { min: 100ms, max: 200ms }
${more}
    out: [{ filter: up/# }]
`

async function startUpstream(config: readonly string[] = []): Promise<Mosquitto> {
  const upstream = await startMosquitto({ config })
  onTestFinished(() => upstream.remove())
  return upstream
}

async function publish(gateway: Gateway, ...payloads: number[]): Promise<void> {
  await using client = await RawClient.connect({ port: gateway.port })
  for (const payload of payloads) await client.publish('up/t', String(payload), { qos: 1 })
}

/** Connections of the bridge that the upstream has accepted, and those that it has seen end. */
const comings = (upstream: Mosquitto): number => upstream.logs().match(/as cottage \(/g)?.length ?? 0
const goings = (upstream: Mosquitto): number => upstream.logs().match(/Received DISCONNECT from cottage/g)?.length ?? 0

describe.skipIf(!needs('mosquitto') || !needs('mosquitto_sub'))('a bridge', () => {
  test('that is lazy comes when enough waits, also from before a restart, and leaves when it is idle', {
    timeout: 60_000,
  }, async () => {
    const upstream = await startUpstream()
    await using sub = await startSub({ port: upstream.port, topics: ['up/#'], qos: 1 })
    const lazy = '    start_type: lazy\n    threshold: 5\n    idle_timeout: 1s'
    await using gateway = await startGateway({ config: config(upstream.port, lazy) })
    await publish(gateway, 1, 2, 3)
    await gateway.kill()
    await gateway.start()
    await publish(gateway, 4)
    // It has looked by then: state and spool are told each second.
    await using state = await startSub({ port: gateway.port, topics: ['$SYS/broker/bridges/cloud'] })
    await state.message(({ payload }) => JSON.parse(payload).connected === false, 'its state')
    expect(comings(upstream)).toBe(0)
    await publish(gateway, 5)
    await sub.received(5)
    await until(() => goings(upstream) === 1, { what: () => `a goodbye\n${gateway.log}` })
    expect(sub.payloads).toEqual(['1', '2', '3', '4', '5'])
    await publish(gateway, 6, 7, 8, 9, 10)
    await sub.received(10)
    await until(() => goings(upstream) === 2, { what: () => `a second goodbye\n${gateway.log}` })
    expect(comings(upstream)).toBe(2)
    // Nothing has failed.
    expect(gateway.log).not.toMatch(/bridge (disconnected|cannot connect)/)
    expect(gateway.log).toMatch(/has nothing to carry/)
  })

  test('that is lazy does not let one message wait for ever', { timeout: 60_000 }, async () => {
    const upstream = await startUpstream()
    await using sub = await startSub({ port: upstream.port, topics: ['up/#'], qos: 1 })
    const lazy = '    start_type: lazy\n    max_wait: 2s'
    await using gateway = await startGateway({ config: config(upstream.port, lazy) })
    await publish(gateway, 1)
    await sub.received(1)
  })

  test('that connects once is not tried again before the next start, or a change of its configuration', {
    timeout: 60_000,
  }, async () => {
    const upstream = await startUpstream()
    await using sub = await startSub({ port: upstream.port, topics: ['up/#'], qos: 1, clientId: 's', persistent: true })
    const once = (more = '') => config(upstream.port, `    start_type: once${more}`)
    await using gateway = await startGateway({ config: once() })
    await publish(gateway, 1)
    await sub.received(1)
    await upstream.restart()
    await until(() => /not connected again before the next start/.test(gateway.log), { what: () => gateway.log })
    await publish(gateway, 2)
    const reload = async (text: string) => {
      const before = gateway.process.errors.length
      await writeFile(join(gateway.folder, 'larder.yaml'), complete(gateway, text))
      process.kill(gateway.pid, 'SIGHUP')
      const answered = () => gateway.process.errors.slice(before).some(line => /^larder: reloaded/.test(line))
      await until(answered, { what: () => `an answer\n${gateway.log}` })
    }
    // Nothing has changed.
    await reload(once())
    expect(comings(upstream)).toBe(1)
    await reload(once('\n    keepalive: 20s'))
    await until(() => comings(upstream) === 2, { what: () => `a connection\n${gateway.log}` })
    await using again = await startSub({ port: upstream.port, topics: ['up/#'], qos: 1 })
    await publish(gateway, 3)
    await again.message(({ payload }) => payload === '3', 'what comes now')
    await until(() => /Received PUBLISH from cottage .*\n/.test(upstream.logs()), { what: 'all' })
    expect(upstream.logs().match(/Received PUBLISH from cottage/g)).toHaveLength(3)
  })
})

/** The configuration with this gateway's own listeners and folder, as it was written at its start. */
function complete(gateway: Gateway, text: string): string {
  return `listeners: [${gateway.listeners.map(url => `'${url}'`).join(', ')}]\ndata_dir: '${gateway.dataDir}'\n${text}\n`
}

describe.skipIf(!needs('mosquitto') || !needs('openssl') || !needs('faketime'))('on a machine without a clock', () => {
  // Now and then, libfaketime loses a thread of the process that it deceives.
  test('a certificate that is not valid yet is told as that, and is tried when the clock is set', {
    timeout: 60_000,
    retry: 2,
  }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'larder-clock-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const authority = await Authority.make(folder, 'home')
    const { cert, key } = await authority.server()
    const upstream = await startUpstream([`certfile ${cert}`, `keyfile ${key}`])
    await using time = await FakeTime.make(Date.UTC(2001, 0, 1) - Date.now())
    await using gateway = await startGateway({
      config: config(upstream.port, `    tls: { ca: ${authority.cert} }`)
        .replace('mqtt://', 'mqtts://')
        .replace('min: 100ms, max: 200ms', 'min: 1h, max: 1h'),
      env: time.env,
    })
    await until(() => /not valid yet by the clock of this machine/.test(gateway.log), { what: () => gateway.log })
    await publish(gateway, 1)
    expect(comings(upstream)).toBe(0)
    await time.jump(0)
    await until(() => comings(upstream) === 1, { what: () => `a connection\n${gateway.log}\n${upstream.logs()}` })
    await until(() => /Received PUBLISH from cottage/.test(upstream.logs()), { what: () => upstream.logs() })
  })
})
