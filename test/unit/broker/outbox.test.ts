import { Duplex } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { FlushTurn, Outbox } from '../../../src/broker/outbox.ts'
import { FrameReader } from '../../../src/mqtt/frames.ts'
import { decodePublish, topicBytesOf } from '../../../src/mqtt/publish.ts'

const LARGE = 16 * 1024

function setUp(turn = new FlushTurn()) {
  const written: Buffer[] = []
  const stream = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      written.push(chunk)
      done()
    },
  })
  const moved: number[] = []
  const stats = { packetsSent: 0, bytesSent: 0 }
  const outbox = new Outbox({
    stream,
    turn,
    memory: { moved: bytes => moved.push(bytes) },
    stats,
    onFlushed: () => {},
    onAck: null,
  })
  const publish = (payload: Buffer) =>
    outbox.publish({ topicBytes: topicBytesOf('t/1'), payload }, 0, false, false, 0, undefined)
  return { outbox, publish, written, stats, moved: () => moved.reduce((sum, bytes) => sum + bytes, 0) }
}

function payloadsIn(bytes: Buffer): Buffer[] {
  const payloads: Buffer[] = []
  const onFrame = (header: number, buffer: Buffer, _start: number, body: number, end: number) => {
    payloads.push(decodePublish(header, buffer, body, body, end).payload)
    return true
  }
  new FrameReader({ maxPacketSize: 10_000_000, onFrame }).push(bytes)
  return payloads
}

function payloadsOf(sizes: readonly number[]): Buffer[] {
  return sizes.map((size, i) => Buffer.alloc(size, i + 1))
}

describe('Outbox', () => {
  test.each([
    ['small ones', Array.from({ length: 3_000 }, (_, i) => i % 90)],
    ['large ones', [LARGE, LARGE + 1, 300_000, LARGE]],
    ['large ones among small', [10, LARGE, 0, 20, LARGE, LARGE, LARGE - 1, LARGE - 1, LARGE, 5]],
    ['more heads of large ones than a first buffer holds', Array.from({ length: 300 }, () => LARGE)],
    ['more than buffers grow to', [LARGE, ...Array.from({ length: 12 }, () => LARGE - 1), LARGE, 1, LARGE - 1, LARGE]],
  ])('whole and in order, turn after turn: %s', (_name, sizes) => {
    const { outbox, publish, written, stats, moved } = setUp()
    const payloads = payloadsOf(sizes)
    for (let turn = 0; turn < 3; turn++) {
      written.length = 0
      for (const payload of payloads) publish(payload)
      const { unsent } = outbox
      outbox.flush()
      const bytes = Buffer.concat(written)
      const received = payloadsIn(bytes)
      expect(received.length).toBe(payloads.length)
      expect(received.findIndex((payload, i) => !payload.equals(payloads[i] as Buffer))).toBe(-1)
      expect([unsent, stats.bytesSent, moved()]).toEqual([bytes.length, ...Array(2).fill(bytes.length * (turn + 1))])
    }
    expect(outbox.unsent).toBe(0)
    expect(stats.packetsSent).toBe(3 * payloads.length)
  })

  test('a large payload is passed on as it is, and takes no memory but for its head', () => {
    const { outbox, publish, written } = setUp()
    const payloads = payloadsOf(Array.from({ length: 20 }, () => LARGE))
    for (let turn = 0; turn < 3; turn++) {
      written.length = 0
      for (const payload of payloads) publish(payload)
      outbox.flush()
      expect(written.filter((_, i) => i % 2 === 1).every((chunk, i) => chunk.buffer === payloads[i]?.buffer)).toBe(true)
      const heads = new Set(written.filter((_, i) => i % 2 === 0).map(chunk => chunk.buffer))
      expect([...heads].reduce((sum, { byteLength }) => sum + byteLength, 0)).toBeLessThan(LARGE)
    }
  })
})

describe('FlushTurn', () => {
  const turnOver = () => new Promise(resolve => setImmediate(resolve))

  /** Turns of the event loop from a packet to its write, while every turn brings what `read` says. */
  async function turnsToWrite(bytes: number, read: (turn: FlushTurn) => void): Promise<number> {
    const turn = new FlushTurn()
    const { publish, written } = setUp(turn)
    publish(Buffer.alloc(bytes))
    for (let turns = 1; turns <= 20; turns++) {
      read(turn)
      await turnOver()
      if (written.length > 0) return turns
    }
    return Number.POSITIVE_INFINITY
  }

  test('what was written leaves in the same turn', async () => {
    expect(await turnsToWrite(10, () => {})).toBe(1)
    expect(await turnsToWrite(10, turn => turn.read(65_535))).toBe(1)
  })

  test('while more is there to be read, little waits a few turns, and much does not', async () => {
    expect(await turnsToWrite(10, turn => turn.read(65_536))).toBe(4)
    expect(await turnsToWrite(20_000, turn => turn.read(65_536))).toBe(1)
  })
})
