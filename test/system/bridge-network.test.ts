/**
 * The bridge on bad networks: a slow line, one that swallows everything, one that breaks again and again, and a resolver
 * that does not answer. What is published is there in the end; local clients notice nothing. Figures are printed.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { hasLines, type LineQuality, startLine } from '../support/line.ts'
import { type Mosquitto, type MosquittoOptions, startMosquitto } from '../support/mosquitto.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { run } from '../support/process.ts'
import { startRelay } from '../support/relay.ts'
import { type Sub, startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'

/** ms; whoever has to wait for the link waits for seconds. The promise, 10 ms on an idle machine, is for the figure that is printed. */
const HELD_UP = 1_000
const SAMPLES = 300
/** Messages that a local client has in flight. */
const AT_ONCE = 100

const config = (url: string, more = ''): string => `
name: Cottage
bridges:
  - name: cloud
    url: ${url}
${more.includes('keepalive') ? '' : '    keepalive: 1s\n'}    retry: { min: 100ms, max: 300ms }
    out: [{ filter: up/# }]
${more}`

async function startUpstream(options: MosquittoOptions = {}): Promise<Mosquitto> {
  const upstream = await startMosquitto({
    ...options,
    config: ['max_queued_messages 0', 'max_inflight_messages 200'],
  })
  onTestFinished(() => upstream.remove())
  return upstream
}

async function publish(gateway: Gateway, first: number, count: number): Promise<void> {
  await using client = await RawClient.connect({ port: gateway.port })
  for (let i = first; i < first + count; i += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, first + count - i) }, (_, k) => String(i + k))
    await Promise.all(some.map(payload => client.publish('up/t', payload, { qos: 1 })))
  }
}

/** Messages that the upstream has, repeats aside. */
const seenBy = (sub: Sub): number => new Set(sub.payloads).size

/** Waits until the upstream has all, and says how fast that went, from now on or since `before`. */
async function arrived(
  sub: Sub,
  count: number,
  what: string,
  before = { at: performance.now(), count: seenBy(sub) },
): Promise<void> {
  const seen = () => seenBy(sub)
  await until(() => seen() >= count, { what: () => `${count} messages upstream, ${seen()} came`, timeout: 60_000 })
  const seconds = (performance.now() - before.at) / 1000
  const rate = Math.round((seen() - before.count) / seconds)
  if (before.count < count)
    process.stderr.write(`bridge, ${what}: ${count - before.count} messages in ${seconds.toFixed(2)} s, ${rate}/s\n`)
  expect([...new Set(sub.payloads)].map(Number)).toEqual(Array.from({ length: count }, (_, i) => i))
}

/** Round trip of QoS 1 from one local client to another, ms at the 99th percentile. */
async function localP99(gateway: Gateway): Promise<number> {
  await using reader = await RawClient.connect({ port: gateway.port })
  await using writer = await RawClient.connect({ port: gateway.port })
  await reader.subscribe({ topic: 'home/#', qos: 1 })
  const times: number[] = []
  for (let i = 0; i < SAMPLES; i++) {
    const began = performance.now()
    const came = new Promise<void>(resolve => {
      reader.onPacket = packet => {
        if (packet.cmd === 'publish') resolve()
      }
    })
    await Promise.all([came, writer.publish('home/t', String(i), { qos: 1 })])
    times.push(performance.now() - began)
  }
  return times.sort((one, two) => one - two)[Math.floor(SAMPLES * 0.99)] as number
}

function tellRecovery(what: string, healed: number, p99: number): void {
  const took = Math.round(performance.now() - healed)
  process.stderr.write(`bridge, ${what}: recovered in ${took} ms; local p99 meanwhile ${p99.toFixed(2)} ms\n`)
  expect(p99).toBeLessThan(HELD_UP)
}

describe.skipIf(!needs('mosquitto') || !needs('mosquitto_sub'))('a bridge', () => {
  test('over a line of 300 ms each way: the window decides how fast', { timeout: 120_000 }, async () => {
    const upstream = await startUpstream()
    const relay = await startRelay(upstream.port)
    relay.delay = 300
    const url = `mqtt://127.0.0.1:${relay.port}`
    await using sub = await startSub({ port: upstream.port, topics: ['up/#'], qos: 1 })
    await using gateway = await startGateway({ config: config(url, '    max_inflight: 200\n') })
    await publish(gateway, 0, 1_000)
    await arrived(sub, 1_000, '600 ms round trip')
  })

  test('whose line swallows everything finds out by its keepalive, and local clients notice nothing', {
    timeout: 120_000,
  }, async () => {
    const upstream = await startUpstream()
    const relay = await startRelay(upstream.port)
    await using sub = await startSub({ port: upstream.port, topics: ['up/#'], qos: 1 })
    await using gateway = await startGateway({ config: config(`mqtt://127.0.0.1:${relay.port}`) })
    await publish(gateway, 0, 100)
    await arrived(sub, 100, 'a good line')
    relay.blackHole = true
    await publish(gateway, 100, 100)
    const p99 = await localP99(gateway)
    process.stderr.write(`bridge, black hole: local p99 ${p99.toFixed(2)} ms\n`)
    expect(p99).toBeLessThan(HELD_UP)
    await until(() => /does not answer any more/.test(gateway.log), { what: () => `a word on it\n${gateway.log}` })
    const healed = performance.now()
    relay.blackHole = false
    relay.cut()
    await publish(gateway, 200, 100)
    await arrived(sub, 300, 'after the black hole')
    process.stderr.write(`bridge, black hole: recovered in ${Math.round(performance.now() - healed)} ms\n`)
  })

  test('whose line breaks again and again loses nothing', { timeout: 120_000 }, async () => {
    const upstream = await startUpstream()
    const relay = await startRelay(upstream.port)
    relay.delay = 5
    await using sub = await startSub({ port: upstream.port, topics: ['up/#'], qos: 1 })
    await using gateway = await startGateway({ config: config(`mqtt://127.0.0.1:${relay.port}`) })
    const published = publish(gateway, 0, 2_000)
    for (let cut = 1; cut <= 10; cut++) {
      const enough = cut * 100
      await until(() => seenBy(sub) >= enough, { what: `${enough} messages`, timeout: 30_000 })
      relay.cut()
    }
    await published
    await arrived(sub, 2_000, 'a line that broke ten times')
  })

  describe.skipIf(!hasLines())('on a line of its own', () => {
    /** An upstream at the far end, its subscriber beside it, and a gateway here. */
    async function start(more = '') {
      const line = await startLine()
      const elsewhere = { host: line.far, through: line.through }
      const upstream = await startUpstream({ elsewhere })
      const sub = await startSub({ port: upstream.port, topics: ['up/#'], qos: 1, through: line.through })
      onTestFinished(() => sub[Symbol.asyncDispose]())
      const gateway = await startGateway({ config: config(`mqtt://${line.far}:${upstream.port}`, more) })
      onTestFinished(() => gateway[Symbol.asyncDispose]())
      await publish(gateway, 0, 10)
      await arrived(sub, 10, `a good line (${line.kind})`)
      return { line, upstream, sub, gateway }
    }

    const BAD: [what: string, quality: LineQuality, count: number][] = [
      ['latency of 300 ms each way', { delay: 300 }, 1_000],
      ['5 % loss', { delay: 10, loss: 0.05 }, 1_000],
      ['reordering of every fourth packet', { delay: 20, reorder: 0.25 }, 1_000],
      ['latency, loss and reordering at once', { delay: 100, loss: 0.05, reorder: 0.25 }, 500],
    ]
    test.each(BAD)('%s: nothing is lost or out of order', { timeout: 180_000 }, async (what, quality, count) => {
      const { line, sub, gateway } = await start('    max_inflight: 200\n    keepalive: 10s\n')
      line.shape(quality)
      const before = { at: performance.now(), count: 10 }
      await publish(gateway, 10, count)
      const p99 = await localP99(gateway)
      process.stderr.write(`bridge, ${what}: local p99 ${p99.toFixed(2)} ms\n`)
      expect(p99).toBeLessThan(HELD_UP)
      await arrived(sub, 10 + count, `${what} (${line.kind})`, before)
    })

    test('the link goes down and up again', { timeout: 120_000 }, async () => {
      const { line, sub, gateway } = await start()
      line.link('down')
      await publish(gateway, 10, 200)
      const p99 = await localP99(gateway)
      await until(() => /there is no way to|does not answer/.test(gateway.log), { what: () => gateway.log })
      const healed = performance.now()
      line.link('up')
      await arrived(sub, 210, 'after the link was down')
      tellRecovery('link down', healed, p99)
    })

    test('a black hole: what was connected, and whoever connects, waits in vain', { timeout: 120_000 }, async () => {
      const { line, sub, gateway } = await start('    connect_timeout: 2s\n')
      line.blackHole(true)
      await publish(gateway, 10, 200)
      await until(() => /does not answer any more/.test(gateway.log), { what: () => gateway.log })
      // Now it connects, and TCP hangs.
      const p99 = await localP99(gateway)
      await until(() => /bridge cannot connect/.test(gateway.log), { what: () => gateway.log })
      const healed = performance.now()
      line.blackHole(false)
      await arrived(sub, 210, 'after the black hole')
      tellRecovery('black hole', healed, p99)
    })
  })

  describe.skipIf(process.getuid?.() !== 0 || !needs('unshare'))('whose name server', () => {
    test('does not answer: local clients notice nothing (m#3108)', { timeout: 120_000 }, async context => {
      const resolver = await startResolver(() => undefined)
      if (!(await resolver.isUsable())) context.skip()
      await using gateway = await startGateway({
        config: config(`mqtt://${NAME}:1883`, '    connect_timeout: 1s\n'),
        through: resolver.through,
      })
      await until(() => resolver.asked > 0, { what: 'a look-up' })
      const [first, second] = [await localP99(gateway), await localP99(gateway)]
      await publish(gateway, 0, 200)
      process.stderr.write(`bridge, dead resolver: local p99 ${first.toFixed(2)} and ${second.toFixed(2)} ms\n`)
      expect(Math.min(first, second)).toBeLessThan(HELD_UP)
      const reason = new RegExp(`${NAME}:1883 (does not answer|cannot be looked up)`)
      await until(() => reason.test(gateway.log), { what: 'a word on it' })
      // A look-up by the system would hold up the end of the process.
      await gateway.stop()
    })

    test('knows the upstream', async context => {
      const upstream = await startUpstream()
      const resolver = await startResolver(query => answer(query, '127.0.0.1'))
      if (!(await resolver.isUsable())) context.skip()
      await using sub = await startSub({ port: upstream.port, topics: ['up/#'], qos: 1 })
      await using gateway = await startGateway({
        config: config(`mqtt://${NAME}:${upstream.port}`),
        through: resolver.through,
      })
      await publish(gateway, 0, 10)
      await arrived(sub, 10, 'a name from DNS')
    })

    test('knows no such name', async context => {
      const resolver = await startResolver(query => answer(query, undefined))
      if (!(await resolver.isUsable())) context.skip()
      await using gateway = await startGateway({ config: config(`mqtt://${NAME}:1883`), through: resolver.through })
      await until(() => gateway.log.includes(`the name in ${NAME}:1883 is not known`), {
        what: () => `a word on it\n${gateway.log}`,
      })
    })
  })
})

/** In no hosts file, and under a top level that nobody has [RFC 2606]. */
const NAME = 'cloud.larder.example'
const NAME_SERVER = '127.77.0.1'

/** A name server for whoever is started `through` it: in a mount namespace of its own, with a resolv.conf of its own. */
async function startResolver(reply: (query: Buffer) => Buffer | undefined) {
  const socket = createSocket('udp4').bind(53, NAME_SERVER)
  await once(socket, 'listening')
  const file = join(tmpdir(), `larder-resolv-${process.pid}.conf`)
  await writeFile(file, `nameserver ${NAME_SERVER}\noptions timeout:30 attempts:5\n`)
  onTestFinished(async () => {
    socket.close()
    await rm(file)
  })
  const resolver = {
    asked: 0,
    through: ['unshare', '-m', 'sh', '-c', 'mount --bind "$0" /etc/resolv.conf && exec "$@"', file] as const,
    /** False, and a word why, where a mount namespace cannot be had. */
    async isUsable(): Promise<boolean> {
      const [command, ...rest] = resolver.through
      const { code } = await run(command, [...rest, 'true'])
      if (code !== 0) process.stderr.write('skipped: name servers, because a mount namespace cannot be had here\n')
      return code === 0
    },
  }
  socket.on('message', (query, { port, address }) => {
    resolver.asked++
    const answered = reply(query)
    if (answered !== undefined) socket.send(answered, port, address)
  })
  return resolver
}

/** RFC 1035 §4.1: what was asked, and the address if it was asked for one of IPv4; undefined, there is no such name. */
function answer(query: Buffer, address: string | undefined): Buffer {
  const end = query.indexOf(0, 12) + 5
  const isA = query.readUInt16BE(end - 4) === 1
  const records = address !== undefined && isA ? 1 : 0
  const head = Buffer.from(query.subarray(0, end))
  head.writeUInt16BE(address === undefined ? 0x8183 : 0x8180, 2)
  for (const [at, count] of [
    [4, 1],
    [6, records],
    [8, 0],
    [10, 0],
  ] as const)
    head.writeUInt16BE(count, at)
  if (records === 0) return head
  const octets = (address as string).split('.').map(Number)
  return Buffer.concat([head, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...octets])])
}
