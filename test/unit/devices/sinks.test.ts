import { beforeEach, describe, expect, test } from 'vitest'
import type { Source } from '../../../src/devices/ports.ts'
import { MAX_MESSAGE_BYTES, MAX_PENDING_MESSAGES, Sinks } from '../../../src/devices/sinks.ts'
import { until } from '../../support/wait.ts'
import { deferred, RecordingBroker, TestSource } from './recording.ts'

class Display extends TestSource implements Source {
  readonly shown: string[] = []
  write: (line: string) => Promise<void> = () => Promise.resolve()
  readonly listens = ['Kitchen', 'Hall'].map(filter => ({
    filter,
    write: async (topic: string, payload: string) => {
      await this.write(payload)
      this.shown.push(`${topic} ${payload}`)
    },
  }))
}

let display: Display
let broker: RecordingBroker
let refused: string[]
let ready: () => Promise<boolean>
let sinks: Sinks

beforeEach(() => {
  display = new Display()
  broker = new RecordingBroker()
  refused = []
  ready = () => Promise.resolve(true)
  const refuse = (reason: string) => void refused.push(reason)
  sinks = new Sinks({ source: display, broker, topic: 'Hall', ready: () => ready(), refused: refuse })
  sinks.start()
})

const shown = (count: number) => until(() => display.shown.length >= count, { what: `${count} messages`, every: 1 })
const refusals = (count: number) => until(() => refused.length >= count, { what: `${count} refusals`, every: 1 })

describe('messages of others', () => {
  test('are handed over in their order, one after the other', async () => {
    let busy = 0
    display.write = async () => {
      expect(++busy).toBe(1)
      await new Promise(resolve => setImmediate(resolve))
      busy--
    }
    for (let n = 0; n < 5; n++) broker.send('Kitchen', `${n}`)
    await shown(5)
    expect(display.shown).toEqual([0, 1, 2, 3, 4].map(n => `Kitchen ${n}`))
  })

  test('are not the device’s own, and not empty', async () => {
    broker.send('Hall', 'own')
    broker.send('Kitchen', '')
    broker.send('Kitchen', 'x')
    await shown(1)
    expect(display.shown).toEqual(['Kitchen x'])
    expect(refused).toEqual([])
  })

  test('wait until the source has started, and are given up when it has not', async () => {
    const started = deferred()
    ready = () => started.promise.then(() => true)
    broker.send('Kitchen', 'early')
    expect(display.shown).toEqual([])
    started.resolve()
    await shown(1)
    ready = () => Promise.resolve(false)
    broker.send('Kitchen', 'never')
    await new Promise(resolve => setImmediate(resolve))
    expect(display.shown).toEqual(['Kitchen early'])
    expect(refused).toEqual([])
  })

  test('that are not taken are told with their topic, and the next is taken', async () => {
    display.write = line => (line === 'bad' ? Promise.reject(new Error('no')) : Promise.resolve())
    broker.send('Kitchen', 'bad')
    broker.send('Kitchen', Buffer.alloc(MAX_MESSAGE_BYTES + 1, 'x'))
    broker.send('Kitchen', 'good')
    await shown(1)
    expect(refused).toEqual(['Kitchen: no', `Kitchen: more than ${MAX_MESSAGE_BYTES} bytes`])
    expect(display.shown).toEqual(['Kitchen good'])
  })

  test('beyond those that may wait are refused', async () => {
    const stuck = deferred()
    display.write = () => stuck.promise
    for (let n = 0; n <= MAX_PENDING_MESSAGES; n++) broker.send('Kitchen', `${n}`)
    await refusals(1)
    expect(refused).toEqual([`${MAX_PENDING_MESSAGES} messages wait to be written; Kitchen was left out`])
    stuck.resolve()
    await shown(MAX_PENDING_MESSAGES)
  })

  test('come no more when it is stopped, and those that wait are given up', async () => {
    const stuck = deferred()
    display.write = () => stuck.promise
    broker.send('Kitchen', '1')
    broker.send('Kitchen', '2')
    await new Promise(resolve => setImmediate(resolve))
    sinks.stop()
    stuck.resolve()
    await shown(1)
    await new Promise(resolve => setImmediate(resolve))
    expect(display.shown).toEqual(['Kitchen 1'])
    expect(broker.subscriptions).toEqual([])
  })
})
