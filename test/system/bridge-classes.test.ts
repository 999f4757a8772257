/**
 * What the rules of a bridge say about an outage, on the real gateway against Debian's mosquitto: what goes first, what of
 * it goes at all, in which form; over kills and changes of the rules; and what `larder bridges` shows and does.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Gateway, larder, startGateway } from '../support/gateway.ts'
import { startMosquitto } from '../support/mosquitto.ts'
import { needs } from '../support/needs.ts'
import { pub } from '../support/pub.ts'
import { startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'

const bridge = (upstream: number, out: string, more = ''): string => `
name: Cottage
bridges:
  - name: cloud
    url: mqtt://127.0.0.1:${upstream}
    retry: { min: 100ms, max: 200ms }
    ${more}
    out: [${out}]
`

const numbers = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => String(from + i))

async function startUpstream(config: readonly string[] = []) {
  const upstream = await startMosquitto({
    config: ['persistence true', 'persistence_location {dir}/', 'max_queued_messages 0', ...config],
  })
  const watcher = { port: upstream.port, topics: ['#'], qos: 1, clientId: 'watcher', persistent: true } as const
  await (await startSub(watcher)).stop()
  return Object.assign(upstream, { watcher, [Symbol.asyncDispose]: () => upstream.remove() })
}

async function bridges(gateway: Gateway, ...args: string[]): Promise<string[]> {
  const [what = '', ...rest] = args
  const { code, lines, errors } = await larder(['bridges', what, '--data-dir', gateway.dataDir, ...rest])
  expect([code, errors]).toEqual([0, []])
  return lines
}

describe.skipIf(!needs('mosquitto') || !needs('mosquitto_sub'))('after an outage', () => {
  test('alarms go first, samples are thinned, and the gateway may be killed meanwhile', {
    timeout: 60_000,
  }, async () => {
    await using upstream = await startUpstream()
    await upstream.stop()
    const rules = [
      '{ filter: "#" }',
      '{ filter: alarm, priority: high }',
      '{ filter: meter/+, on_backlog: latest }',
      '{ filter: log, priority: low }',
    ]
    // The first that matches counts, so the one for all comes last.
    const [all, ...others] = rules
    await using gateway = await startGateway({ config: bridge(upstream.port, [...others, all].join(', ')) })
    const { port } = gateway
    await pub(numbers(50), { port, topic: 'log', qos: 1 })
    await pub(numbers(200), { port, topic: 'room', qos: 1 })
    await pub(numbers(100), { port, topic: 'meter/a', qos: 1 })
    await pub(numbers(100), { port, topic: 'meter/b', qos: 0 })
    await pub(numbers(5), { port, topic: 'alarm', qos: 1 })
    await gateway.kill()
    await gateway.start()
    await pub(numbers(5, 5), { port, topic: 'alarm', qos: 1 })
    const [state] = (await bridges(gateway, 'list', '--json')).map(line => JSON.parse(line))
    expect(state).toMatchObject({ name: 'cloud', connected: false, paused: false })
    // QoS 0 may lose what was not written when it was killed.
    expect(state.waiting).toBeGreaterThan(355)
    expect(state.bytes).toBeGreaterThan(state.waiting)
    await upstream.restart()
    await using sub = await startSub(upstream.watcher)
    await until(() => sub.messages.filter(({ topic }) => topic === 'log').length === 50, {
      what: () => `the log, got ${sub.messages.length} messages\n${gateway.log}`,
      timeout: 20_000,
    })
    const payloads = (of: string) => sub.messages.filter(({ topic }) => topic === of).map(({ payload }) => payload)
    expect(sub.messages.slice(0, 10).map(({ topic }) => topic)).toEqual(Array(10).fill('alarm'))
    expect(sub.messages.slice(-50).map(({ topic }) => topic)).toEqual(Array(50).fill('log'))
    expect(payloads('alarm')).toEqual(numbers(10))
    expect(payloads('room')).toEqual(numbers(200))
    expect(payloads('log')).toEqual(numbers(50))
    expect(payloads('meter/a')).toEqual(['99'])
    expect(payloads('meter/b').length).toBeLessThanOrEqual(1)
    const [after] = (await bridges(gateway, 'list', '--json')).map(line => JSON.parse(line))
    expect(after).toMatchObject({ connected: true, waiting: 0, bytes: 0 })
    expect(after.thinned).toBeGreaterThanOrEqual(99)
    await gateway.stop()
  })

  test('a topic whose priority was changed meanwhile keeps its order, over a reload and a kill', {
    timeout: 60_000,
  }, async () => {
    await using upstream = await startUpstream()
    await upstream.stop()
    const of = (a: string, b: string) =>
      bridge(upstream.port, `{ filter: a, priority: ${a} }, { filter: b, priority: ${b} }`)
    await using gateway = await startGateway({ config: of('high', 'low') })
    const { port } = gateway
    const listeners = `listeners: ["mqtt://127.0.0.1:${port}"]\ndata_dir: "${gateway.dataDir}"\n`
    const publish = async (from: number) => {
      await pub(numbers(20, from), { port, topic: 'a', qos: 1 })
      await pub(numbers(20, from), { port, topic: 'b', qos: 1 })
    }
    await publish(0)
    await writeFile(join(gateway.folder, 'larder.yaml'), listeners + of('low', 'high'))
    const reloaded = await larder(['reload', '--data-dir', gateway.dataDir])
    expect([reloaded.code, reloaded.errors]).toEqual([0, []])
    await publish(20)
    await gateway.kill()
    await writeFile(join(gateway.folder, 'larder.yaml'), listeners + of('normal', 'normal'))
    await gateway.start()
    await publish(40)
    await upstream.restart()
    await using sub = await startSub(upstream.watcher)
    await until(() => sub.messages.length >= 120, {
      what: () => `all, got ${sub.messages.length}\n${gateway.log}`,
      timeout: 20_000,
    })
    const payloads = (of: string) => sub.messages.filter(({ topic }) => topic === of).map(({ payload }) => payload)
    expect(payloads('a')).toEqual(numbers(60))
    expect(payloads('b')).toEqual(numbers(60))
    // The older rules' messages by their priorities, then the newer ones'.
    expect(sub.messages.slice(0, 80).map(({ topic }) => topic)).toEqual(
      ['a', 'b', 'b', 'a'].flatMap(topic => Array(20).fill(topic)),
    )
    await gateway.stop()
  })

  test('QoS 2 in every class arrives once and in order, while the gateway is killed', { timeout: 90_000 }, async () => {
    await using upstream = await startUpstream(['max_inflight_messages 0'])
    const watcher = { ...upstream.watcher, qos: 2, clientId: 'twice' } as const
    await (await startSub(watcher)).stop()
    await upstream.stop()
    const rules = ['high', 'normal', 'low'].map(priority => `{ filter: ${priority}, qos: 2, priority: ${priority} }`)
    await using gateway = await startGateway({ config: bridge(upstream.port, rules.join(', ')) })
    const { port } = gateway
    const topics = ['low', 'normal', 'high']
    await Promise.all(topics.map(topic => pub(numbers(300), { port, topic, qos: 2 })))
    await upstream.restart()
    await using sub = await startSub(watcher)
    let killed = 0
    for (const at of [20, 250, 500, 800]) {
      await until(() => sub.messages.length >= at, { what: () => `${at}, got ${sub.messages.length}`, every: 1 })
      if (sub.messages.length < 900) killed++
      await gateway.kill()
      await gateway.start()
      await pub('more', { port, topic: 'high', qos: 2 })
    }
    expect(killed).toBeGreaterThan(1)
    await until(() => sub.messages.length >= 904, {
      what: () => `all, got ${sub.messages.length}\n${gateway.log}`,
      timeout: 30_000,
    })
    await gateway.stop()
    for (const topic of topics) {
      const payloads = sub.messages.filter(each => each.topic === topic).map(({ payload }) => payload)
      expect(
        payloads.filter(payload => payload !== 'more'),
        topic,
      ).toEqual(numbers(300))
    }
    expect(sub.messages).toHaveLength(904)
  })

  test('batches arrive whole; what they hold is not lost in a kill', { timeout: 60_000 }, async () => {
    await using upstream = await startUpstream()
    await upstream.stop()
    const rule = '{ filter: "t/#", batch: { every: 200ms, max_bytes: 4KiB, topic: house/batch } }'
    await using gateway = await startGateway({ config: bridge(upstream.port, rule) })
    await pub(numbers(1_000), { port: gateway.port, topic: 't/x', qos: 1 })
    await upstream.restart()
    await using sub = await startSub(upstream.watcher)
    const seen = () =>
      new Set(sub.payloads.flatMap(payload => JSON.parse(payload).map((each: { payload: number }) => each.payload)))
    await until(() => seen().size > 100, { what: 'the first batches', every: 1 })
    await gateway.kill()
    await gateway.start()
    await until(() => seen().size === 1_000, { what: () => `all, got ${seen().size}`, timeout: 20_000 })
    expect(sub.messages.every(({ topic, payload }) => topic === 'house/batch' && payload.length <= 4_096)).toBe(true)
    expect(sub.messages.length).toBeLessThan(150)
    const [first] = JSON.parse(sub.payloads[0] ?? '')
    expect(first).toMatchObject({ gateway: 'Cottage', topic: 't/x', payload: 0 })
    expect(Math.abs(Date.parse(first.time) - Date.now())).toBeLessThan(60_000)
    await gateway.stop()
  })
})

describe.skipIf(!needs('mosquitto') || !needs('mosquitto_sub'))('larder bridges', () => {
  test('shows dead letters and sends them again; pauses and resumes', { timeout: 60_000 }, async () => {
    await using upstream = await startUpstream(['max_packet_size 2000'])
    await using gateway = await startGateway({ config: bridge(upstream.port, '{ filter: "#" }', 'version: "5"') })
    const { port } = gateway
    const state = async () => JSON.parse((await bridges(gateway, 'list', '--json'))[0] ?? '')
    await pub('x'.repeat(3_000), { port, topic: 'photo', qos: 1, retain: true })
    await pub('small', { port, topic: 'reading', qos: 1 })
    await until(async () => (await state()).dead === 1, { what: 'a dead letter' })
    expect(await bridges(gateway, 'dead', 'cloud')).toEqual([
      '"photo" (2.9 KiB, retained): it is larger than the 2000 bytes that the upstream takes',
    ])
    const [letter] = (await bridges(gateway, 'dead', '--json', 'cloud')).map(line => JSON.parse(line))
    expect(letter).toMatchObject({ topic: 'photo', retain: true, payload: 'x'.repeat(3_000) })
    expect(await bridges(gateway, 'list')).toEqual([
      expect.stringMatching(/^cloud: connected; nothing waits; .*; 1 set aside$/),
    ])

    expect(await bridges(gateway, 'pause', 'cloud')).toEqual(['cloud is paused'])
    expect(await bridges(gateway, 'retry', 'cloud')).toEqual(['one message is sent again'])
    expect(await bridges(gateway, 'dead', 'cloud')).toEqual([])
    await pub('later', { port, topic: 'reading', qos: 1 })
    expect(await state()).toMatchObject({ paused: true, connected: false, waiting: 2, dead: 0 })
    // A pause outlives a reload of the same configuration.
    expect((await larder(['reload', '--data-dir', gateway.dataDir])).code).toBe(0)
    expect(await state()).toMatchObject({ paused: true })
    await using sub = await startSub(upstream.watcher)
    await sub.received(1)
    expect(await bridges(gateway, 'resume', 'cloud')).toEqual(['cloud goes on'])
    await sub.received(2)
    expect(sub.payloads).toEqual(['small', 'later'])
    await until(async () => (await state()).dead === 1, { what: 'the dead letter again' })

    const { code, errors } = await larder(['bridges', 'retry', '--data-dir', gateway.dataDir, 'clod'])
    expect([code, errors]).toEqual([1, ['larder: there is no bridge called "clod"; there is cloud']])
    await gateway.stop()
  })
})
