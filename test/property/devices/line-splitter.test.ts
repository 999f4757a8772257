import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LineSplitter } from '../../../device/codecs/line-splitter.ts'

const MAX_LINE = 32

interface Seen {
  lines: string[]
  overlong: number
  capacity: number
}

function split(chunks: Buffer[], maxLine = MAX_LINE): Seen {
  const seen: Seen = { lines: [], overlong: 0, capacity: 0 }
  const splitter = new LineSplitter({
    maxLine,
    onLine: line => seen.lines.push(line),
    onOverlong: () => {
      seen.overlong++
    },
  })
  for (const chunk of chunks) {
    splitter.push(chunk)
    seen.capacity = Math.max(seen.capacity, splitter.capacity)
  }
  return seen
}

/** Cuts bytes at the given places, which may be anywhere. */
function cut(bytes: Buffer, places: number[]): Buffer[] {
  const at = [0, ...places.map(place => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end))
}

/** What comes out, said in another way: whole text first, then cut at line ends. */
function expected(bytes: Buffer): Omit<Seen, 'capacity'> {
  const pieces = bytes.toString('latin1').split('\n')
  const last = pieces.pop() ?? ''
  const lines = pieces.map(piece => Buffer.from(piece.replace(/\r$/, ''), 'latin1'))
  const short = lines.filter(line => line.length <= MAX_LINE)
  return {
    lines: short.map(String),
    overlong: lines.length - short.length + (last.length > MAX_LINE + 1 ? 1 : 0),
  }
}

/** Bytes in which line ends, and lines near the limit, are frequent. */
const stream = fc
  .array(
    fc.oneof(
      fc.constantFrom('\n', '\r\n', '\r', '\n\n', 'µ', '°C'),
      fc.string({ maxLength: 12, unit: 'grapheme' }),
      fc.nat({ max: 4 }).map(n => 'x'.repeat(MAX_LINE - 2 + n)),
      fc.uint8Array({ maxLength: 6 }).map(bytes => Buffer.from(bytes).toString('latin1')),
    ),
    { maxLength: 24 },
  )
  .map(parts => Buffer.concat(parts.map((part, i) => Buffer.from(part, i % 3 === 0 ? 'latin1' : 'utf8'))))

const places = fc.array(fc.nat(), { maxLength: 12 })

describe('LineSplitter', () => {
  it('gives the same lines however the stream is cut', () => {
    fc.assert(
      fc.property(stream, places, (bytes, at) => {
        const { capacity, ...seen } = split(cut(bytes, at))
        expect(seen).toEqual(expected(bytes))
        const { capacity: _, ...byByte } = split([...bytes].map(byte => Buffer.of(byte)))
        expect(byByte).toEqual(seen)
        expect(capacity).toBeLessThanOrEqual(MAX_LINE + 1)
      }),
      { numRuns: 1000 },
    )
  })

  it('loses to noise no more than the line that the noise is in', () => {
    const word = fc.stringMatching(/^[a-z]{1,20}$/)
    const noise = fc
      .uint8Array({ minLength: 1, maxLength: 200 })
      .map(bytes => Buffer.from(bytes.filter(b => b !== 0x0a)))
    fc.assert(
      fc.property(
        fc.array(word, { maxLength: 8 }),
        word,
        noise,
        fc.array(word, { maxLength: 8 }),
        places,
        (before, hit, bytes, after, at) => {
          const text = (lines: string[]) => Buffer.from(lines.map(line => `${line}\r\n`).join(''))
          const sent = Buffer.concat([text(before), Buffer.from(hit), bytes, Buffer.from('\n'), text(after)])
          const { lines, overlong } = split(cut(sent, at))
          expect(lines.slice(0, before.length)).toEqual(before)
          expect(lines.slice(lines.length - after.length)).toEqual(after)
          expect(lines.length + overlong).toBe(before.length + 1 + after.length)
        },
      ),
    )
  })

  it('holds no more than one line of memory, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2000 }),
        fc.array(fc.nat({ max: 5000 }), { maxLength: 10 }),
        (maxLine, sizes) => {
          const { capacity, lines } = split(
            sizes.map(size => Buffer.alloc(size, 'x')),
            maxLine,
          )
          expect(capacity).toBeLessThanOrEqual(maxLine + 1)
          expect(lines).toEqual([])
        },
      ),
    )
  })

  it('finds its way back after a line that never seemed to end', () => {
    const chunks = Array.from({ length: 1000 }, () => Buffer.alloc(1000, 0xff))
    expect(split([...chunks, Buffer.from('tail\nnext\n')])).toEqual({ lines: ['next'], overlong: 1, capacity: 0 })
  })
})
