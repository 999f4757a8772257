/** Streams of events over real HTTP, with a clock that only moves when it is told to. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Section } from '../../../src/dashboard/api.ts'
import { LiveTopics } from '../../../src/dashboard/live-topics.ts'
import type { TopicMessage } from '../../../src/dashboard/ports.ts'
import { MAX_STREAMS, Streams } from '../../../src/dashboard/streams.ts'
import { LogTail } from '../../../src/kernel/log-tail.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { until } from '../../support/wait.ts'

const HELLO = { name: 'x', version: '1', build: 'b', startedAt: 0, clockSynced: true, firstRun: false }

let clock: ManualClock
let server: Server
let streams: Streams
let looks: string[]
let overview: unknown
/** The last stream has ended, as the server sees it. */
let isClosed = false
let publish: ((message: TopicMessage) => void) | undefined
const log = new LogTail()
const sockets: Socket[] = []

beforeEach(async () => {
  clock = new ManualClock()
  looks = []
  overview = { waiting: 0 }
  publish = undefined
  const topics = new LiveTopics({
    clock,
    listen: listener => {
      publish = listener
      return () => {
        publish = undefined
      }
    },
  })
  const look = (section: string) => {
    looks.push(section)
    return section === 'overview' ? overview : []
  }
  const hello = () => ({ ...HELLO, now: clock.wall() })
  streams = new Streams({ scene: { hello, look, log, topics }, clock })
  server = createServer((request, response) => {
    isClosed = false
    const sections = (request.url ?? '').slice(1).split(',') as Section[]
    if (streams.open(response, sections) === undefined) response.writeHead(503).end()
    response.once('close', () => {
      isClosed = true
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})

afterEach(async () => {
  streams.stop()
  for (const socket of sockets.splice(0)) socket.destroy()
  server.closeAllConnections()
  await new Promise(resolve => server.close(resolve))
})

/** A browser; `text` is what came. */
async function look(sections: string) {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  sockets.push(socket)
  const browser = { socket, text: '', hasEnded: false }
  socket.on('error', () => {})
  socket.on('data', chunk => {
    browser.text += chunk
  })
  socket.on('close', () => {
    browser.hasEnded = true
  })
  socket.write(`GET /${sections} HTTP/1.1\r\nHost: a\r\n\r\n`)
  await until(() => browser.text.includes('\r\n\r\n'), { what: 'an answer' })
  return browser
}

const count = (text: string, part: string) => text.split(part).length - 1

function message(topic: string, payload: string): TopicMessage {
  return { topic, payload: Buffer.from(payload), qos: 0, retain: false }
}

test('a section is told when it has changed, made once for all, and not at all when nobody listens', async () => {
  expect(clock.pending).toBe(0)
  const first = await look('overview')
  const second = await look('overview')
  await until(() => count(second.text, 'event: overview') === 1, { what: 'the first' })
  looks = []
  await clock.advance(5_000)
  expect(looks).toEqual(Array(5).fill('overview'))
  overview = { waiting: 1 }
  await clock.advance(1_000)
  for (const each of [first, second]) {
    await until(() => each.text.includes('"waiting":1'), { what: 'the change' })
    expect([count(each.text, 'event: overview'), count(each.text, 'event: hello')]).toEqual([2, 1])
  }
  await clock.advance(15_000)
  await until(() => first.text.includes(': still here'), { what: 'a heartbeat' })
  first.socket.destroy()
  second.socket.destroy()
  await until(() => clock.pending === 0, { what: 'the end of the timer' })
})

test('topics are listened to only while somebody looks, and a moment longer', async () => {
  const browser = await look('topics')
  publish?.(message('a', '1'))
  publish?.(message('a', '2'))
  await clock.advance(250)
  await until(() => browser.text.includes('"payload":"2"'), { what: 'the topic' })
  expect(count(browser.text, '"topic":"a"')).toBe(1)
  browser.socket.destroy()
  await until(() => isClosed, { what: 'its end' })
  await clock.advance(59_000)
  expect([publish === undefined, clock.pending]).toEqual([false, 1])
  await clock.advance(1_000)
  expect([publish, clock.pending]).toEqual([undefined, 0])
})

test('there are only so many streams', async () => {
  for (let i = 0; i < MAX_STREAMS; i++) await look('overview')
  expect((await look('overview')).text).toMatch(/^HTTP\/1.1 503/)
})

test('who does not read gets the newest later, and is closed when that takes too long; others are not held up', async () => {
  const slow = await look('topics')
  const fast = await look('topics')
  slow.socket.pause()
  const last = (sign: string) => `"topic":"t/3999","payload":"${sign}`
  // More than the sockets' buffers take.
  const round = async (sign: string) => {
    for (let i = 0; i < 4_000; i++) publish?.(message(`t/${i}`, sign.repeat(2_000)))
    await clock.advance(250)
    await until(() => fast.text.includes(last(sign)), { what: `round ${sign}` })
    expect(count(fast.text, `"payload":"${sign}`)).toBe(4_000)
    fast.text = ''
  }
  for (const sign of ['a', 'b', 'c', 'd']) await round(sign)
  slow.socket.resume()
  await until(() => slow.text.includes(last('d')), { what: 'the newest' })
  expect(count(slow.text, '"payload":"d')).toBe(4_000)
  const seen = count(slow.text, '"topic":"t/')
  expect(seen).toBeLessThan(4 * 4_000)
  slow.text = ''
  slow.socket.pause()
  for (const sign of ['e', 'f']) await round(sign)
  await clock.advance(31_000)
  slow.socket.resume()
  await until(() => slow.hasEnded, { what: 'the end of the slow one' })
  expect(fast.hasEnded).toBe(false)
}, 30_000)
