/** The rig itself: each kind of step fails when the broker does something else, so no case passes by chance. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConformanceBroker } from './rig/brokers.ts'
import { gaps } from './rig/clauses.ts'
import {
  closed,
  connect,
  expect as expectPacket,
  id,
  nothing,
  open,
  type Row,
  raw,
  type Steps,
  send,
  sequence,
  subscribe,
  text,
  unordered,
  utf8,
} from './rig/format.ts'
import { runCase } from './rig/run.ts'

/** Short, as most of these cases wait in vain. */
const DEADLINE_MS = 300

/** Accepts every CONNECT, answers every PINGREQ, sends every PUBLISH back, grants QoS 0 to every SUBSCRIBE, and never closes. */
function answer(socket: Socket, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) {
    const end = at + 2 + (bytes[at + 1] as number)
    const packet = bytes.subarray(at, end)
    const type = (packet[0] as number) >> 4
    if (type === 1) socket.write(Buffer.from([0x20, 2, 0, 0]))
    if (type === 3) socket.write(packet)
    if (type === 8) socket.write(Buffer.from([0x90, 3, packet[2] as number, packet[3] as number, 0]))
    if (type === 12) socket.write(Buffer.from([0xd0, 0]))
    at = end
  }
}

let server: Server
let broker: ConformanceBroker
beforeAll(async () => {
  server = createServer(socket => {
    socket.on('data', bytes => answer(socket, bytes))
    socket.on('error', () => {})
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  broker = new ConformanceBroker({
    ports: { tcp: port, ws: port },
    restart: () => Promise.resolve(),
    log: () => '',
    stop: () => Promise.resolve(),
  })
})
afterAll(async () => {
  await broker.stop()
  server.close()
})

const run = (...steps: Steps[]) =>
  runCase({ clause: [], title: '', steps }, { broker, version: 4, prefix: 'prefix', deadline: DEADLINE_MS })
const echo = send('a', { cmd: 'publish', topic: '~/t', payload: 'x' })

test('what the broker does passes', async () => {
  await run(
    connect('a', {}, '20 02 00 00'),
    subscribe('a', '~/t'),
    [echo, [echo, echo]],
    expectPacket('a', { cmd: 'publish', topic: '~/t', payload: 'x', qos: 0, messageId: undefined }),
    expectPacket('a', raw(0x30, utf8('~/t'), text('x'))),
    expectPacket('a', '30 0b 00 08 70 72 65 66 69 78 2f 74 78'),
    nothing('a'),
    send('a', [raw(0x32, utf8('~/t'), 0, 1), raw(0x32, utf8('~/t'), 0, 2), 'c0 00']),
    sequence('a', { cmd: 'publish', messageId: id('1') }, { cmd: 'publish', messageId: id('2', '1') }, 'd0 00'),
    [echo, send('a', { cmd: 'publish', topic: '~/t', payload: 'y' })],
    unordered('a', { cmd: 'publish', payload: 'y' }, { cmd: 'publish', payload: 'x' }),
  )
})

describe('what it does not do fails', () => {
  test.each<[string, string, Steps]>([
    ['another field', 'payload is "x", not "y"', [echo, expectPacket('a', { cmd: 'publish', payload: 'y' })]],
    [
      'a field that is there',
      'payload is "x", not absent',
      [echo, expectPacket('a', { cmd: 'publish', payload: undefined })],
    ],
    [
      'a field that is missing',
      'messageId is undefined',
      [echo, expectPacket('a', { cmd: 'publish', messageId: id('m') })],
    ],
    ['other bytes', 'came, not 30', [echo, expectPacket('a', raw(0x30, utf8('~/t'), text('y')))]],
    ['a packet that does not come', 'ms for puback at a', expectPacket('a', { cmd: 'puback' })],
    ['a packet that nobody took', 'a was sent what it should not have been', echo],
    ['a packet where there should be none', 'a was sent what it should not have been', [echo, nothing('a')]],
    ['a connection that stays', 'for its end at a', closed('a')],
    ['a granted QoS', 'granted[0] is 0, not 1', subscribe('a', ['~/t', 1])],
    [
      'one identifier for two',
      'not unlike that of 1',
      [
        send('a', [raw(0x32, utf8('~/t'), 0, 7), raw(0x32, utf8('~/t'), 0, 7)]),
        expectPacket('a', { cmd: 'publish', messageId: id('1') }),
        expectPacket('a', { cmd: 'publish', messageId: id('2', '1') }),
      ],
    ],
    [
      'another identifier than before',
      'messageId is 8, not 7 as m was before',
      [
        send('a', [raw(0x32, utf8('~/t'), 0, 7), raw(0x32, utf8('~/t'), 0, 8)]),
        expectPacket('a', { cmd: 'publish', messageId: id('m') }),
        expectPacket('a', { cmd: 'publish', messageId: id('m') }),
      ],
    ],
    [
      'another order',
      'cmd is "publish", not "pingresp"',
      [send('a', [raw(0x30, utf8('~/t')), 'c0 00']), sequence('a', { cmd: 'pingresp' }, { cmd: 'publish' })],
    ],
    [
      'another set',
      'which fits none of',
      [echo, unordered('a', { cmd: 'publish', payload: 'y' }, { cmd: 'publish', payload: 'z' })],
    ],
    ['bytes that are no packet', 'which is malformed', send('a', raw(0x36, utf8('~/t'), 0, 1))],
  ])('%s', async (_what, message, steps) => {
    await expect(run(connect('a'), steps)).rejects.toThrow(message)
  })

  test('something before CONNACK', async () => {
    await expect(run(open('a'), echo, expectPacket('a', { cmd: 'publish' }))).rejects.toThrow(
      'publish came before CONNACK',
    )
  })
})

test('a table with holes is not complete', () => {
  const rows: Row[] = [
    { clause: ['MQTT-3.1.0-1', 'MQTT-9.9.9-9'], title: '', steps: [] },
    { clause: ['MQTT-3.1.0-2'], notObservable: 'I do not care' },
    { clause: ['MQTT-6.0.0-3'], notObservable: 'it binds the client' },
  ]
  const found = gaps({ name: '', version: 4, clauses: 'clauses-311.tsv', chapters: { rows } })
  const about = (clause: string) => found.filter(line => line.startsWith(`${clause} `)).join()
  expect(about('MQTT-9.9.9-9')).toContain('does not exist')
  expect(about('MQTT-3.1.0-1')).toBe('')
  expect(about('MQTT-3.1.0-2')).toContain('listed as observable')
  expect(about('MQTT-3.1.2-1')).toContain('has no case')
  expect(about('MQTT-6.0.0-3')).toBe('')
  expect(about('MQTT-7.0.0-1')).toContain('neither a case nor a reason')
})
