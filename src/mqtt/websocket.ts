/**
 * The client's end of MQTT over WebSocket (MQTT 5 §6, RFC 6455): the handshake, then a stream of bytes that hides the frames.
 * For tools that try a server; what serves clients is in `listen/`.
 */
import { createHash, randomBytes } from 'node:crypto'
import { Duplex } from 'node:stream'

/** Of RFC 6455 §1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
/** Bytes of an answer to the handshake. */
const MAX_HEAD = 16 * 1024
/** Bytes of one frame; MQTT's packets are not larger, and whoever announces more is no server of MQTT. */
const MAX_FRAME = 268_435_456 + 5
const FINAL = 0x80
const MASKED = 0x80
const BINARY = 0x2
const CLOSE = 0x8
const PING = 0x9
const PONG = 0xa

/** Shakes hands on a connected `socket` and resolves to the stream inside. Rejects when the server does not speak WebSocket. */
export async function openWebSocket(socket: Duplex, { host, path }: { host: string; path: string }): Promise<Duplex> {
  const key = randomBytes(16).toString('base64')
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n`,
  )
  const { head, rest } = await readHead(socket)
  const status = /^HTTP\/1\.1 (\d+)/.exec(head)?.[1]
  if (status !== '101') throw new Error(`no WebSocket there: it answers ${status ?? 'what is not HTTP'}`)
  const accept = createHash('sha1').update(`${key}${GUID}`).digest('base64')
  if (/^sec-websocket-accept: *(\S+)/im.exec(head)?.[1] !== accept)
    throw new Error('no WebSocket there: a wrong answer')
  return new Frames(socket, rest)
}

function readHead(socket: Duplex): Promise<{ head: string; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let all: Buffer = Buffer.alloc(0)
    const stop = () => socket.off('data', onData).off('error', onError).off('close', onClose)
    const onError = (error: Error) => {
      stop()
      reject(error)
    }
    const onClose = () => onError(new Error('the server closed the connection'))
    const onData = (chunk: Buffer) => {
      all = Buffer.concat([all, chunk])
      const end = all.indexOf('\r\n\r\n')
      if (end < 0 && all.length > MAX_HEAD) onError(new Error('no WebSocket there: the answer has no end'))
      if (end < 0) return
      stop()
      socket.pause()
      resolve({ head: all.toString('latin1', 0, end), rest: all.subarray(end + 4) })
    }
    socket.on('data', onData).once('error', onError).once('close', onClose)
  })
}

class Frames extends Duplex {
  readonly #socket: Duplex
  #waiting: Buffer

  constructor(socket: Duplex, rest: Buffer) {
    super({ allowHalfOpen: false })
    this.#socket = socket
    this.#waiting = rest
    socket.on('data', chunk => {
      this.#waiting = this.#waiting.length === 0 ? chunk : Buffer.concat([this.#waiting, chunk])
      this.#take()
    })
    socket.on('error', error => this.destroy(error))
    socket.on('close', () => void this.push(null))
    this.#take()
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(frame(BINARY, chunk), done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(frame(CLOSE, Buffer.from([0x03, 0xe8])), () => done())
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy()
    done(error)
  }

  /** Hands over the payload of every frame that has come whole. */
  #take(): void {
    for (;;) {
      const found = readFrame(this.#waiting)
      if (found === 'more') return
      if (found === undefined) {
        this.destroy(new Error('the server sends what is no WebSocket'))
        return
      }
      this.#waiting = this.#waiting.subarray(found.end)
      if (found.opcode === PING) this.#socket.write(frame(PONG, found.payload))
      else if (found.opcode === CLOSE) this.#socket.end()
      else if (found.opcode < CLOSE && !this.push(found.payload)) this.#socket.pause()
    }
  }
}

/** A frame of a server, which masks nothing; undefined when it makes no sense. */
function readFrame(bytes: Buffer): { opcode: number; payload: Buffer; end: number } | 'more' | undefined {
  if (bytes.length < 2) return 'more'
  const short = bytes.readUInt8(1)
  if ((short & MASKED) !== 0) return undefined
  const start = short === 126 ? 4 : short === 127 ? 10 : 2
  if (bytes.length < start) return 'more'
  const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short
  if (length > MAX_FRAME) return undefined
  if (bytes.length < start + length) return 'more'
  return { opcode: bytes.readUInt8(0) & 0x0f, payload: bytes.subarray(start, start + length), end: start + length }
}

/** A frame of a client: masked [RFC 6455 §5.3]. */
function frame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  head[0] = FINAL | opcode
  head[1] = MASKED | (length < 126 ? length : length < 65_536 ? 126 : 127)
  if (head.length === 4) head.writeUInt16BE(length, 2)
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2)
  const mask = randomBytes(4)
  const masked = Buffer.from(payload)
  for (let i = 0; i < length; i++) masked[i] = (masked[i] as number) ^ (mask[i & 3] as number)
  return Buffer.concat([head, mask, masked])
}
