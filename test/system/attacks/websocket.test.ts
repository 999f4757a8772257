/** Attacks that brought brokers down, named after them: those by WebSocket. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until, within } from '../../support/wait.ts'
import { Attacker, connectBytes, frame, utf8 } from './attacker.ts'
import { Siege } from './siege.ts'

const MIB = 1024 * 1024
/** Status codes of RFC 6455 §7.4.1. */
const PROTOCOL_ERROR = 1002
const UNSUPPORTED_DATA = 1003
const TOO_BIG = 1009
/** Opcodes of RFC 6455 §5.2, with the bit that says it is the last frame of its message. */
const TEXT = 0x81
const BINARY = 0x82
const CLOSE = 0x88
const PING = 0x89

let siege: Siege
beforeAll(async () => {
  siege = await Siege.lay()
})
afterAll(() => siege?.[Symbol.asyncDispose]())

/** A TCP connection that talks to the WebSocket port by hand, and keeps every byte that comes back. */
class Upgrading implements AsyncDisposable {
  readonly attacker: Attacker
  #bytes = Buffer.alloc(0)

  private constructor(attacker: Attacker) {
    this.attacker = attacker
    attacker.socket.removeAllListeners('data').on('data', chunk => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
    })
  }

  static async open(headers: readonly string[] = []): Promise<Upgrading> {
    const upgrading = new Upgrading(await Attacker.open(siege.wsPort))
    const request = [
      'GET /mqtt HTTP/1.1',
      'Host: 127.0.0.1',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      'Sec-WebSocket-Protocol: mqtt',
      ...headers,
    ]
    upgrading.attacker.raw(Buffer.from(`${request.join('\r\n')}\r\n\r\n`))
    return upgrading
  }

  /** An upgrade that succeeded. */
  static async done(): Promise<Upgrading> {
    const upgrading = await Upgrading.open()
    await until(() => upgrading.#bytes.includes('\r\n\r\n'), { what: 'the answer to the upgrade', every: 1 })
    expect(upgrading.status).toBe(101)
    upgrading.#bytes = upgrading.#bytes.subarray(upgrading.#bytes.indexOf('\r\n\r\n') + 4)
    return upgrading
  }

  /** The status code of the answer, if there was one. */
  get status(): number | undefined {
    const [, code] = /^HTTP\/1\.1 (\d+)/.exec(this.#bytes.toString('latin1')) ?? []
    return code === undefined ? undefined : Number(code)
  }

  get bytes(): Buffer {
    return this.#bytes
  }

  raw(...parts: (Uint8Array | number[])[]): void {
    this.attacker.raw(...parts.map(part => Buffer.from(part)))
  }

  /** Waits to be closed, and gives the status code of the close frame, if there was one. */
  async closed(): Promise<number | undefined> {
    await within(this.attacker.closed, { what: 'the end of the connection' })
    const at = this.#bytes.lastIndexOf(CLOSE)
    return at < 0 || this.#bytes.length < at + 4 ? undefined : this.#bytes.readUInt16BE(at + 2)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.attacker[Symbol.asyncDispose]()
  }
}

/** A frame as a client sends it, masked with zeros; `length` is what it says, the payload what it has. */
function wsFrame(opcode: number, payload: Uint8Array, length = payload.length): Buffer {
  const head =
    length < 126
      ? Buffer.from([opcode, 0x80 | length])
      : length < 65_536
        ? Buffer.from([opcode, 0x80 | 126, length >> 8, length & 0xff])
        : Buffer.concat([Buffer.from([opcode, 0x80 | 127]), bigEndian64(length)])
  return Buffer.concat([head, Buffer.alloc(4), payload])
}

function bigEndian64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

describe('CVE-2024-37890: a flood of headers on the upgrade', () => {
  test.each([1_000, 2_000, 2_500, 3_000])('%i of them: answered, and the gateway goes on', async count => {
    await siege.withstand(async () => {
      for (let round = 0; round < 20; round++) {
        await using upgrading = await Upgrading.open(Array.from({ length: count }, () => 'a:b'))
        await until(() => upgrading.bytes.length > 0 || upgrading.attacker.isClosed, { what: 'an answer', every: 1 })
        // Beyond what Node parses, headers are left out, the upgrade's own perhaps: that is no upgrade then.
        expect([101, 400, 404, 426, 431, undefined]).toContain(upgrading.status)
      }
    })
  })

  test('headers without end: 431, and the connection is closed', async () => {
    await siege.withstand(async () => {
      for (let round = 0; round < 20; round++) {
        await using upgrading = await Upgrading.open(['x: '.padEnd(MIB, 'y')])
        await upgrading.closed()
        expect([431, undefined]).toContain(upgrading.status) // a reset may overtake the answer
      }
    })
  })
})

describe('a WebSocket frame that says more than it has (NanoMQ)', () => {
  test.each([2 ** 40, 2 ** 53 - 1, 64 * MIB])('of %i bytes is too big', async length => {
    await siege.withstand(async () => {
      for (let round = 0; round < 100; round++) {
        await using upgrading = await Upgrading.done()
        upgrading.raw(wsFrame(BINARY, connectBytes(4), length))
        expect(await upgrading.closed()).toBe(TOO_BIG)
      }
    })
  })

  test('of a length with its highest bit set is refused', async () => {
    await using upgrading = await Upgrading.done()
    upgrading.raw([BINARY, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])
    expect(await upgrading.closed()).toBe(TOO_BIG)
  })

  test('of a mebibyte that never comes takes no memory, in 200 connections', async () => {
    await siege.withstand(async () => {
      const all = await Promise.all(Array.from({ length: 200 }, () => Upgrading.done()))
      for (const upgrading of all) upgrading.raw(wsFrame(BINARY, connectBytes(4), MIB))
      const { attacker } = all[0] as Upgrading
      await until(() => attacker.socket.writableLength === 0, { what: 'the frames to be on their way' })
      // The gateway has read them when it has served somebody who came later.
      await using last = await Upgrading.done()
      last.raw(wsFrame(BINARY, connectBytes(4)))
      await until(() => last.bytes.length > 0, { what: 'a CONNACK', every: 1 })
      for (const upgrading of all) await upgrading[Symbol.asyncDispose]()
    })
  })

  test('an MQTT packet in it may be longer than the frame, and go on in the next', async () => {
    await using upgrading = await Upgrading.done()
    for (const byte of connectBytes(4)) upgrading.raw(wsFrame(BINARY, Buffer.from([byte])))
    await until(() => upgrading.bytes.length >= 6, { what: 'a CONNACK' })
    expect(upgrading.bytes).toEqual(Buffer.from([BINARY, 4, 0x20, 2, 0, 0]))
  })

  test('fragments without end are too big together', async () => {
    await siege.withstand(async () => {
      await using upgrading = await Upgrading.done()
      const CONTINUES = 0x00
      upgrading.raw(wsFrame(BINARY & 0x0f, Buffer.alloc(0)))
      const fragment = wsFrame(CONTINUES, Buffer.alloc(64 * 1024))
      for (let sent = 0; sent < 64 && !upgrading.attacker.isClosed; sent++) await upgrading.attacker.flood(fragment)
      expect(await upgrading.closed()).toBe(TOO_BIG)
    })
  })
})

describe('frames that are none', () => {
  test.each<[string, Uint8Array, number]>([
    ['not masked', Buffer.from([BINARY, 2, 0xc0, 0]), PROTOCOL_ERROR],
    ['with reserved bits', wsFrame(BINARY | 0x70, connectBytes(4)), PROTOCOL_ERROR],
    ['of an opcode that does not exist', wsFrame(0x83, connectBytes(4)), PROTOCOL_ERROR],
    ['a continuation of nothing', wsFrame(0x80, connectBytes(4)), PROTOCOL_ERROR],
    ['a ping in fragments', wsFrame(PING & 0x7f, Buffer.alloc(1)), PROTOCOL_ERROR],
    ['a ping of 126 bytes', wsFrame(PING, Buffer.alloc(126)), PROTOCOL_ERROR],
    ['text [MQTT-6.0.0-1]', wsFrame(TEXT, connectBytes(4)), UNSUPPORTED_DATA],
  ])('%s: refused with its status code', async (_, bytes, status) => {
    await using upgrading = await Upgrading.done()
    upgrading.raw(bytes)
    expect(await upgrading.closed()).toBe(status)
  })

  const ping = wsFrame(PING, Buffer.alloc(125))

  test('50 pings at once are answered, as many as that', async () => {
    await using upgrading = await Upgrading.done()
    upgrading.raw(...Array.from({ length: 50 }, () => ping))
    const pongs = 50 * (2 + 125)
    await until(() => upgrading.bytes.length >= pongs, { what: () => `50 pongs; ${upgrading.bytes.length} bytes came` })
    expect(upgrading.bytes).toHaveLength(pongs)
  })

  test('pings without end, whose pongs are not read, end the connection and take no memory', async () => {
    await siege.withstand(async () => {
      for (let round = 0; round < 20; round++) {
        await using upgrading = await Upgrading.done()
        upgrading.attacker.socket.pause()
        const pings = Buffer.concat(Array.from({ length: 1_000 }, () => ping))
        for (let sent = 0; sent < 80 && !upgrading.attacker.isClosed; sent++) upgrading.raw(pings)
        upgrading.attacker.socket.resume()
        await upgrading.closed()
      }
    })
  })
})

test('MQTT that is broken inside good frames throws the client out', async () => {
  await siege.withstand(async () => {
    for (let round = 0; round < 50; round++) {
      for (const bytes of [
        frame(0x20, [0, 0]),
        Buffer.from([0x10, 0xff, 0xff, 0xff, 0xff, 1]),
        frame(0x82, utf8('x')),
      ]) {
        await using upgrading = await Upgrading.done()
        upgrading.raw(wsFrame(BINARY, bytes))
        await upgrading.closed()
      }
    }
  })
})

test('messages that never become whole: who holds most goes, as by TCP', async () => {
  // More together than `limits.memory`, which is 128 MiB.
  const CLIENTS = 100
  const clients: Upgrading[] = []
  try {
    await siege.withstand(
      async () => {
        for (let i = 0; i < CLIENTS; i++) {
          const client = await Upgrading.done()
          clients.push(client)
          client.raw(wsFrame(BINARY, connectBytes(4)))
          await until(() => client.bytes.length > 0, { what: 'CONNACK', every: 1 })
        }
        for (const { attacker } of clients) await attacker.flood(wsFrame(BINARY, Buffer.alloc(1.8 * MIB), 2 * MIB))
        await until(() => clients.some(({ attacker }) => attacker.isClosed), { what: 'the end of one of them' })
      },
      { flat: 256 },
    )
    expect(clients.filter(({ attacker }) => attacker.isClosed).length).toBeLessThan(CLIENTS)
  } finally {
    for (const client of clients) await client[Symbol.asyncDispose]()
  }
})
