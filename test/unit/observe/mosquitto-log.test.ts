import { spawnSync } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { watchHub } from '../../../src/observe/mosquitto-lines.ts'
import { MosquittoLog } from '../../../src/observe/mosquitto-log.ts'
import type { ConnectionEnd, HubEvents, MosquittoLogSettings, SessionView } from '../../../src/observe/ports.ts'
import { strftime } from '../../../src/observe/strftime.ts'

const WALL = 1_669_151_234_567
const ALL = ['error', 'warning', 'notice', 'information', 'debug', 'subscribe', 'unsubscribe']

function logOf(settings: Partial<MosquittoLogSettings> = {}) {
  const out: string[] = []
  const err: string[] = []
  const log = new MosquittoLog({
    settings: { destinations: ['stderr'], types: ALL, timestamp: true, connectionMessages: true, ...settings },
    clock: { wall: () => WALL },
    stdout: line => void out.push(line),
    stderr: line => void err.push(line),
  })
  return { log, out, err }
}

test('lines have a time stamp in front', () => {
  const { log, err } = logOf()
  log.line('notice', 'hello.')
  expect(err).toEqual(['1669151234: hello.'])
  const bare = logOf({ timestamp: false, timestampFormat: '%H' })
  bare.log.line('notice', 'hello.')
  expect(bare.err).toEqual(['hello.'])
  const formatted = logOf({ timestampFormat: '%Y!' })
  formatted.log.line('notice', 'hello.')
  expect(formatted.err).toEqual(['2022!: hello.'])
})

test('only the types that are wanted, where they are wanted', () => {
  const { log, err, out } = logOf({ types: ['error', 'debug'], destinations: ['stdout', 'stderr'] })
  for (const type of ['error', 'warning', 'debug'] as const) log.line(type, type)
  expect([out, err]).toEqual([out, out])
  expect(out).toEqual(['1669151234: error', '1669151234: debug'])
  const none = logOf({ destinations: [] })
  none.log.line('error', 'x')
  expect([none.out, none.err]).toEqual([[], []])
})

test('is the log of the gateway as well', () => {
  const { log, err } = logOf({ timestamp: false })
  const child = log.child({ bridge: 'cloud' })
  child.warn({ reason: 'gone', tries: 3 }, 'link lost')
  child.error({}, 'no')
  log.info({}, 'yes')
  log
    .child({ a: 1 })
    .child({ b: undefined })
    .debug({ error: new Error('why') }, 'so')
  expect(err).toEqual([
    'Warning: link lost (bridge cloud, reason gone, tries 3).',
    'Error: no (bridge cloud).',
    'yes.',
    'so (a 1, error why).',
  ])
})

test('a client cannot write a line of its own', () => {
  const { log, err } = logOf({ timestamp: false })
  log.line('notice', 'Client a\n1669151234: Client b\u001b[2J connected.')
  expect(err).toEqual(['Client a?1669151234: Client b?[2J connected.'])
})

test('a file, opened again when it was moved away', () => {
  const folder = mkdtempSync(join(tmpdir(), 'larder-log-'))
  try {
    const file = join(folder, 'log')
    const { log, err } = logOf({ destinations: ['file'], file, timestamp: false })
    log.open()
    log.line('notice', 'one')
    renameSync(file, join(folder, 'log.1'))
    log.open()
    log.line('notice', 'two')
    log.close()
    log.line('notice', 'nowhere')
    expect([readFileSync(join(folder, 'log.1'), 'utf8'), readFileSync(file, 'utf8'), err]).toEqual([
      'one\n',
      'two\n',
      [],
    ])
    expect(() => logOf({ destinations: ['file'], file: join(folder, 'no/log') }).log.open()).toThrow()
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('topics, and no line about publishing a line', () => {
  const { log } = logOf({ destinations: ['topic'], timestamp: false })
  const published: string[] = []
  log.publish = (topic, line) => {
    published.push(`${topic} ${line}`)
    log.line('notice', 'published')
  }
  log.line('notice', 'a')
  log.line('debug', 'b')
  log.line('subscribe', 'c')
  log.line('error', 'd')
  expect(published).toEqual(['$SYS/broker/log/N a', '$SYS/broker/log/M/subscribe c', '$SYS/broker/log/E d'])
})

const SESSION: SessionView = {
  id: 'kitchen',
  connected: true,
  version: 5,
  clean: true,
  userName: 'bob',
  keepalive: 60,
  will: null,
  details: { remoteAddress: '192.168.1.9', remotePort: 4711, listener: 'ws://[::]:8083/mqtt' },
}

/** What is written of events that `tell` makes, when `settings` are wanted. */
function linesOf(
  tell: (hub: EventEmitter & HubEvents) => void,
  settings: Partial<MosquittoLogSettings> = {},
): string[] {
  const { log, err } = logOf({ timestamp: false, ...settings })
  const hub: EventEmitter & HubEvents = new EventEmitter()
  watchHub(hub, log)
  tell(hub)
  return err
}

test('a connection', () => {
  const told = linesOf(
    hub => {
      hub.emit('connection', SESSION)
      hub.emit('connackSent', { returnCode: 0, sessionPresent: true }, SESSION)
      hub.emit('connectionEnd', SESSION, 'disconnect')
    },
    { types: ['notice'] },
  )
  expect(told).toEqual([
    'New connection from 192.168.1.9:4711 on port 8083.',
    "New client connected from 192.168.1.9:4711 as kitchen (p5, c1, k60, u'bob').",
    'Client kitchen disconnected.',
  ])
})

test('connection_messages false says nothing of connections, and goes on with the rest', () => {
  const told = linesOf(
    hub => {
      hub.emit('connection', SESSION)
      hub.emit('connackSent', { returnCode: 0, sessionPresent: false }, SESSION)
      hub.emit('subscribe', [{ topic: 'a/#', qos: 1 }], SESSION)
      hub.emit('connectionEnd', SESSION, 'closed')
    },
    { connectionMessages: false, types: ['notice', 'subscribe'] },
  )
  expect(told).toEqual(['kitchen 1 a/#'])
})

const failed = (reasonCode: number) => Object.assign(new Error('reason'), { reasonCode })

test.each<[ConnectionEnd, string[]]>([
  ['disconnect', ['Client kitchen disconnected.']],
  ['closed', ['Client kitchen closed its connection.']],
  ['taken-over', ['Client kitchen already connected, closing old connection.']],
  ['ordered', ['Client kitchen been disconnected by administrative action.']],
  ['shutdown', []],
  [failed(0x8d), ['Client kitchen has exceeded timeout, disconnecting.']],
  [failed(0x87), ['Client kitchen disconnected, not authorised.']],
  [failed(0x81), ['Client kitchen disconnected due to malformed packet.']],
  [failed(0x95), ['Client kitchen disconnected due to oversize packet.']],
  [failed(0x82), ['Client kitchen disconnected due to protocol error.']],
  [Object.assign(new Error(), { code: 'ECONNRESET' }), ['Client kitchen closed its connection.']],
  [Object.assign(new Error(), { code: 'ETIMEDOUT' }), ['Socket error on client kitchen, disconnecting.']],
  [new Error('CONNECT did not arrive in time'), ['Client kitchen disconnected: CONNECT did not arrive in time.']],
])('the end of a connection: %s', (end, lines) => {
  expect(linesOf(hub => hub.emit('connectionEnd', SESSION, end), { types: ['notice', 'error'] })).toEqual(lines)
})

test('packets are traced only when somebody wants to see them', () => {
  const hub: EventEmitter & HubEvents = new EventEmitter()
  watchHub(hub, logOf({ types: ['notice'] }).log)
  expect(hub.trace).toBeUndefined()
  const packet = { topic: 'a/b', qos: 1, retain: true, dup: false, packetId: 7, payload: { length: 5 } }
  const told = linesOf(watched => {
    watched.trace?.publishReceived(SESSION, packet)
    watched.trace?.publishDenied(SESSION, { ...packet, dup: true, retain: false })
  })
  expect(told).toEqual([
    "Received PUBLISH from kitchen (d0, q1, r1, m7, 'a/b', ... (5 bytes))",
    "Denied PUBLISH from kitchen (d1, q1, r0, m7, 'a/b', ... (5 bytes))",
  ])
})

test('dates as the system writes them', () => {
  const formats = [...'aAbBCdDeFhHIjklmMpPrRsSTuwxXyYz%']
    .map(field => `%${field}`)
    .filter(field => field !== '%x' && field !== '%X')
  for (const seconds of [0, 1_669_151_234, 1_709_164_800, 1_735_689_599, 4_102_444_799]) {
    const env = { ...process.env, LC_ALL: 'C' }
    const { stdout } = spawnSync('date', ['-d', `@${seconds}`, `+${formats.join('|')}`], { encoding: 'utf8', env })
    expect(strftime(formats.join('|'), new Date(seconds * 1000))).toBe(stdout.replace(/\n$/, ''))
  }
  expect(strftime('%Q %', new Date(0))).toBe('%Q %')
})
