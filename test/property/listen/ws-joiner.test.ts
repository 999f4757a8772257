import type { Writable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as ws from 'ws'
import { FrameJoiner } from '../../../src/listen/ws-joiner.ts'

/** What `ws` reads with; its types do not know it. */
const { Receiver } = ws as unknown as { Receiver: new (options: object) => Writable }

const OPCODES = { more: 0x0, text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa }

interface Frame {
  readonly first: number
  readonly payload: Uint8Array
  /** Undefined: the frame is not masked, which is wrong. */
  readonly mask: Uint8Array | undefined
  /** Of the length: 0 as short as can be. */
  readonly lengthBytes: 0 | 2 | 8
}

function encode({ first, payload, mask, lengthBytes }: Frame): Buffer {
  const { length } = payload
  const bytes = length > 0xffff ? 8 : Math.max(lengthBytes, length > 125 ? 2 : 0)
  const head = Buffer.alloc(2 + bytes)
  head[0] = first
  head[1] = (mask === undefined ? 0 : 0x80) | (bytes === 0 ? length : bytes === 2 ? 126 : 127)
  if (bytes === 2) head.writeUInt16BE(length, 2)
  if (bytes === 8) head.writeBigUInt64BE(BigInt(length), 2)
  const masked = mask === undefined ? payload : payload.map((byte, i) => byte ^ (mask[i & 3] as number))
  return Buffer.concat([head, mask ?? new Uint8Array(0), masked])
}

/** What `ws` makes of these bytes. Binary messages that follow each other are one: where they end means nothing. */
async function understood(chunks: readonly Uint8Array[]): Promise<string[]> {
  const events: [string, Buffer][] = []
  const receiver = new Receiver({ isServer: true, skipUTF8Validation: true, maxPayload: 1_000_000 })
  const say = (name: string, data: Buffer) => {
    const last = events.at(-1)
    if (name === 'binary' && last?.[0] === 'binary') last[1] = Buffer.concat([last[1], data])
    else if (name !== 'binary' || data.length > 0) events.push([name, Buffer.from(data)])
  }
  receiver.on('message', (data: Buffer, isBinary: boolean) => say(isBinary ? 'binary' : 'text', data))
  receiver.on('ping', (data: Buffer) => say('ping', data))
  receiver.on('pong', (data: Buffer) => say('pong', data))
  receiver.on('conclude', (code: number, reason: Buffer) => say(`close ${code}`, reason))
  const error = new Promise<Error>(resolve => receiver.on('error', resolve))
  for (const chunk of chunks) {
    const taken = new Promise<undefined>(resolve => receiver.write(Buffer.from(chunk), () => resolve(undefined)))
    const failed = await Promise.race([taken, error])
    if (failed === undefined) continue
    say(`error ${failed.message}`, Buffer.alloc(0))
    break
  }
  return events.map(([name, data]) => `${name} ${data.toString('hex')}`)
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map(place => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end))
}

function joined(chunks: readonly Buffer[]): Buffer[] {
  const joiner = new FrameJoiner()
  return chunks.map(chunk => Buffer.from(joiner.join(chunk)))
}

function expectSame(after: readonly string[], before: readonly string[]): void {
  // Of a head that has not come whole, ws may have seen enough.
  const rest = before.slice(after.length)
  expect([...after, ...rest]).toEqual(before)
  expect(rest.filter(event => !event.startsWith('error'))).toEqual([])
}

const payload = fc.oneof(
  { weight: 20, arbitrary: fc.uint8Array({ maxLength: 100 }) },
  { weight: 3, arbitrary: fc.uint8Array({ minLength: 120, maxLength: 300 }) },
  { weight: 1, arbitrary: fc.integer({ min: 20_000, max: 70_000 }).map(length => new Uint8Array(length).fill(length)) },
)
const mask = fc.uint8Array({ minLength: 4, maxLength: 4 })
const lengthBytes = fc.constantFrom(0 as const, 0 as const, 0 as const, 2 as const, 8 as const)
const frame = (first: fc.Arbitrary<number>, masks: fc.Arbitrary<Uint8Array | undefined> = mask) =>
  fc.record({ first, payload, mask: masks, lengthBytes })
const usual = frame(fc.constant(0x80 | OPCODES.binary))
const any = frame(
  fc
    .tuple(fc.constantFrom(0x80, 0x80, 0x80, 0x00, 0xc0), fc.constantFrom(...Object.values(OPCODES), 0x3))
    .map(([flags, opcode]) => flags | opcode),
  fc.option(mask, { nil: undefined, freq: 20 }),
)
const places = fc.array(fc.nat(), { maxLength: 12 })

describe('FrameJoiner', () => {
  test('what comes in usual frames is the same afterwards, wherever it is cut', async () => {
    const frames = fc.array(usual, { minLength: 1, maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(frames, places, async (sent, cuts) => {
        const bytes = Buffer.concat(sent.map(encode))
        const whole = Buffer.concat(sent.map(one => one.payload)).toString('hex')
        expect(await understood(joined(cut(bytes, cuts)))).toEqual(whole === '' ? [] : [`binary ${whole}`])
      }),
      { numRuns: 200 },
    )
  })

  test('whatever comes, right or wrong, ws understands the same', async () => {
    const frames = fc.array(fc.oneof({ weight: 3, arbitrary: usual }, any), { maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(frames, places, async (sent, cuts) => {
        const chunks = cut(Buffer.concat(sent.map(encode)), cuts)
        expectSame(await understood(joined(chunks)), await understood(chunks))
      }),
      { numRuns: 500 },
    )
  })

  test('a length that no number can hold is for ws to refuse', async () => {
    const mask = Uint8Array.of(1, 2, 3, 4)
    const frames = [
      encode({ first: 0x82, payload: Uint8Array.of(1), mask, lengthBytes: 0 }),
      Buffer.from([0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]),
      Buffer.alloc(100),
    ]
    for (const chunks of [frames, [Buffer.concat(frames)]]) {
      expectSame(await understood(joined(chunks)), await understood(chunks))
    }
  })

  test('garbage is garbage', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), places, async (bytes, cuts) => {
        const chunks = cut(Buffer.from(bytes), cuts)
        expectSame(await understood(joined(chunks)), await understood(chunks))
      }),
      { numRuns: 300 },
    )
  })

  test('small frames that came at once are one, and nothing is written to what came', () => {
    const frames = Array.from({ length: 50 }, (_, i) =>
      encode({
        first: 0x82,
        payload: new Uint8Array(20).fill(i),
        mask: Uint8Array.of(1, 2, 3, 4),
        lengthBytes: 0,
      }),
    )
    const bytes = Buffer.concat(frames)
    const before = Buffer.from(bytes)
    const after = new FrameJoiner().join(bytes)
    expect(bytes.equals(before)).toBe(true)
    expect(after.length).toBe(8 + 50 * 20)
  })
})
