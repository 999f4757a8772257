import { describe, expect, test } from 'vitest'
import { FrameReader } from '../../../src/mqtt/frames.ts'
import { MalformedPacketError } from '../../../src/mqtt/malformed.ts'

const PINGREQ = Buffer.from('c000', 'hex')

/** A packet of type 3 with `size` bytes behind its fixed header, each different from its neighbours. */
function packetOf(size: number): Buffer {
  const header = [0x30]
  let rest = size
  do {
    header.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
    rest >>= 7
  } while (rest > 0)
  const body = Buffer.alloc(size)
  for (let i = 0; i < size; i++) body[i] = i * 7
  return Buffer.concat([Buffer.from(header), body])
}

interface Seen {
  header: number
  body: Buffer
  frame: Buffer
  buffer: Buffer
}

function setUp(maxPacketSize = 1_000_000, answer: (seen: Seen) => boolean = () => true) {
  const seen: Seen[] = []
  const reader = new FrameReader({
    maxPacketSize,
    onFrame(header, buffer, start, body, end) {
      const one = { header, body: buffer.subarray(body, end), frame: buffer.subarray(start, end), buffer }
      seen.push(one)
      return answer(one)
    },
  })
  return { reader, seen }
}

describe('FrameReader', () => {
  test('hands over whole packets as views of the chunk', () => {
    const { reader, seen } = setUp()
    const chunk = Buffer.concat([PINGREQ, packetOf(5), packetOf(300), PINGREQ])
    reader.push(chunk)
    expect(seen.map(one => [one.header, one.body.length])).toEqual([
      [0xc0, 0],
      [0x30, 5],
      [0x30, 300],
      [0xc0, 0],
    ])
    expect(seen.every(one => one.buffer === chunk)).toBe(true)
    expect(reader.buffered).toBe(0)
  })

  test.each([0, 1, 126, 127, 128, 16_383, 16_384, 20_000])(
    'a packet with %i bytes in two, cut anywhere near its ends',
    size => {
      const packet = packetOf(size)
      for (let cut = 1; cut < packet.length; cut = cut === 8 ? Math.max(9, packet.length - 8) : cut + 1) {
        const { reader, seen } = setUp()
        reader.push(packet.subarray(0, cut))
        expect([seen.length, reader.buffered]).toEqual([0, cut])
        reader.push(Buffer.concat([packet.subarray(cut), PINGREQ, PINGREQ.subarray(0, 1)]))
        expect(seen.map(one => one.header)).toEqual([0x30, 0xc0])
        expect(seen[0]?.frame.equals(packet)).toBe(true)
        expect(seen[0]?.body.equals(packet.subarray(packet.length - size))).toBe(true)
        expect(reader.buffered).toBe(1)
      }
    },
  )

  test.each([10, 1_000, 10_000])(
    'of a packet that comes in pieces of %i, takes little while little has come',
    piece => {
      const packet = packetOf(4_000_000)
      const before = process.memoryUsage().arrayBuffers
      const readers = Array.from({ length: 100 }, () => setUp(5_000_000).reader)
      for (const reader of readers) {
        for (let at = 0; at < 2 * piece; at += piece) reader.push(packet.subarray(at, at + piece))
      }
      const taken = (process.memoryUsage().arrayBuffers - before) / readers.length
      // What was taken first may still be there beside what it was copied into.
      expect(taken).toBeLessThan(Math.max(8_192, 2 * 16 * 2 * piece))
      expect(readers.map(({ buffered }) => buffered)).toEqual(readers.map(() => 2 * piece))
    },
  )

  test('puts a large packet together from many small pieces in reasonable time', () => {
    const { reader, seen } = setUp(5_000_000)
    const packet = packetOf(4_000_000)
    for (let at = 0; at < packet.length; at += 10) reader.push(packet.subarray(at, at + 10))
    expect(seen.length).toBe(1)
    expect(seen[0]?.frame.equals(packet)).toBe(true)
  })

  test('does not keep the chunks that a cut packet came in', () => {
    const { reader, seen } = setUp()
    const chunks = [packetOf(100).subarray(0, 50), packetOf(100).subarray(50)].map(part => Buffer.from(part))
    reader.push(chunks[0] as Buffer)
    chunks[0]?.fill(0)
    reader.push(chunks[1] as Buffer)
    expect(seen[0]?.frame).toEqual(packetOf(100))
  })

  test('takes an empty chunk for nothing', () => {
    const { reader, seen } = setUp()
    reader.push(Buffer.alloc(0))
    reader.push(PINGREQ.subarray(0, 1))
    reader.push(Buffer.alloc(0))
    reader.push(PINGREQ.subarray(1))
    expect(seen.length).toBe(1)
  })

  test('a remaining length may be written with more bytes than it needs (only MQTT 5 forbids that)', () => {
    const { reader, seen } = setUp()
    reader.push(Buffer.from('c0808000c080', 'hex'))
    reader.push(Buffer.from('80', 'hex'))
    reader.push(Buffer.from('00', 'hex'))
    expect(seen.map(one => one.frame.toString('hex'))).toEqual(['c0808000', 'c0808000'])
  })
})

describe('FrameReader for MQTT 5', () => {
  test.each([
    ['c08000', 'one byte too many'],
    ['c080808000', 'three bytes too many'],
    ['30818000ff', 'one byte too many'],
  ])('refuses a remaining length that is not the shortest [MQTT-1.5.5-1]: %s, %s', hex => {
    const bytes = Buffer.from(hex, 'hex')
    for (let cut = 0; cut <= bytes.length; cut++) {
      const { reader, seen } = setUp()
      reader.shortestLengths = true
      let error: unknown
      try {
        reader.push(bytes.subarray(0, cut))
        reader.push(bytes.subarray(cut))
      } catch (thrown) {
        error = thrown
      }
      expect(error).toMatchObject({ reason: 'the remaining length takes more bytes than it needs', reasonCode: 0x81 })
      expect([seen.length, reader.buffered]).toEqual([0, 0])
    }
  })

  test('takes the shortest, and counts from the next packet on', () => {
    const { reader, seen } = setUp(1_000_000, () => {
      reader.shortestLengths = true
      return true
    })
    reader.push(Buffer.from('c08000', 'hex'))
    for (const size of [0, 1, 127, 128, 16_383, 16_384]) {
      const packet = packetOf(size)
      reader.push(packet)
      for (const byte of packet) reader.push(Buffer.from([byte]))
    }
    expect(seen.length).toBe(13)
    expect(() => reader.push(Buffer.from('c08000', 'hex'))).toThrow(MalformedPacketError)
  })
})

describe('FrameReader refuses', () => {
  const FIVE_BYTES = Buffer.from('30808080808000', 'hex')
  test.each([1, 2, 3, 4, 5, 6])('a remaining length of five bytes, cut after %i', cut => {
    const { reader } = setUp(300_000_000)
    expect(() => {
      reader.push(FIVE_BYTES.subarray(0, cut))
      reader.push(FIVE_BYTES.subarray(cut))
    }).toThrow(MalformedPacketError)
  })

  test.each([1, 2, 3, 4, 5])('a packet larger than the limit as soon as its length is known, cut after %i', cut => {
    const { reader } = setUp(10_000)
    const largest = Buffer.from('30ffffff7f', 'hex')
    let error: unknown
    try {
      reader.push(largest.subarray(0, cut))
      reader.push(largest.subarray(cut))
    } catch (thrown) {
      error = thrown
    }
    // MQTT 5: [MQTT-3.2.2-15]
    expect(error).toMatchObject({
      reason: 'a packet of 268435460 bytes is larger than the limit of 10000',
      reasonCode: 0x95,
    })
  })

  test('counts the fixed header in, and follows a changed limit from the next packet on', () => {
    const { reader, seen } = setUp(102)
    reader.push(packetOf(100))
    expect(() => reader.push(packetOf(101))).toThrow('103 bytes')
    expect(seen.length).toBe(1)
    const second = setUp(10)
    second.reader.push(PINGREQ)
    second.reader.maxPacketSize = 1_000
    expect(second.reader.maxPacketSize).toBe(1_000)
    second.reader.push(packetOf(900))
    expect(second.seen.length).toBe(2)
  })

  test('everything after a fault, and keeps nothing', () => {
    const { reader, seen } = setUp(10)
    expect(() => reader.push(Buffer.concat([PINGREQ, packetOf(50)]))).toThrow(MalformedPacketError)
    reader.push(PINGREQ)
    reader.resume()
    expect([seen.length, reader.buffered]).toEqual([1, 0])
  })

  test('everything after the handler has thrown', () => {
    const { reader, seen } = setUp(1_000, () => {
      throw new MalformedPacketError('no')
    })
    expect(() => reader.push(Buffer.concat([PINGREQ, PINGREQ]))).toThrow('no')
    reader.push(PINGREQ)
    expect([seen.length, reader.buffered]).toEqual([1, 0])
  })
})

describe('FrameReader paused', () => {
  test('hands over nothing until resume, then goes on in order', () => {
    const { reader, seen } = setUp(1_000_000, () => false)
    const stream = Buffer.concat([packetOf(1), packetOf(2), packetOf(3), packetOf(4)])
    reader.push(stream.subarray(0, 6))
    expect([seen.length, reader.paused, reader.buffered]).toEqual([1, true, 3])
    reader.push(stream.subarray(6, 12))
    reader.push(stream.subarray(12))
    expect([seen.length, reader.paused, reader.buffered]).toEqual([1, true, stream.length - 3])
    for (let i = 2; i <= 4; i++) {
      reader.resume()
      expect(seen.map(one => one.body.length)).toEqual(Array.from({ length: i }, (_, at) => at + 1))
    }
    expect([reader.paused, reader.buffered]).toEqual([true, 0])
    reader.resume()
    expect([seen.length, reader.paused]).toEqual([4, false])
  })

  test('resume from inside the handler counts, though the handler then returns false', () => {
    const context = setUp(1_000, () => {
      context.reader.resume()
      return false
    })
    context.reader.push(Buffer.concat([PINGREQ, PINGREQ, PINGREQ]))
    expect([context.seen.length, context.reader.paused]).toEqual([3, false])
  })

  test('a needless resume from inside one handler does not unpause the next', () => {
    const context = setUp(1_000, () => {
      if (context.seen.length > 1) return false
      context.reader.resume()
      return true
    })
    context.reader.push(Buffer.concat([PINGREQ, PINGREQ, PINGREQ]))
    expect([context.seen.length, context.reader.paused]).toEqual([2, true])
  })

  test('push from inside the handler keeps the order and does not recurse', () => {
    let depth = 0
    const context = setUp(1_000, () => {
      expect(depth++).toBe(0)
      if (context.seen.length === 1) context.reader.push(packetOf(9))
      depth--
      return true
    })
    context.reader.push(Buffer.concat([packetOf(1), packetOf(2)]))
    expect(context.seen.map(one => one.body.length)).toEqual([1, 2, 9])
  })

  test('a hundred thousand packets in one chunk, each resumed from inside, need no stack', () => {
    const context = setUp(1_000, () => {
      context.reader.resume()
      return false
    })
    context.reader.push(Buffer.concat(Array.from({ length: 100_000 }, () => PINGREQ)))
    expect(context.seen.length).toBe(100_000)
  })
})
