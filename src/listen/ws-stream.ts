/**
 * A WebSocket as a stream of bytes, so that a session cannot tell it from a TCP socket.
 *
 * Reading: binary messages follow each other without seams [MQTT-6.0.0-2], and those that came with one read of the
 * socket are handed on together: many clients send each packet as a message of its own. A reader that falls behind
 * pauses the socket underneath. Writing: `ws.send` calls back when the kernel has taken the bytes, which
 * is what makes `writableLength`, the false of `write` and `drain` true. What gathers meanwhile leaves as
 * few messages of up to `MESSAGE_BYTES` rather than one for each MQTT packet.
 */
import { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { FrameJoiner } from './ws-joiner.ts'

/** Small chunks are joined into some of up to so many bytes; a larger chunk stays on its own and is not copied. */
const MESSAGE_BYTES = 64 * 1024

/** Status codes of RFC 6455 §7.4.1. */
const NORMAL_CLOSURE = 1000
const UNSUPPORTED_DATA = 1003

export class WebSocketStream extends Duplex {
  readonly #ws: WebSocket
  /** The peer broke the protocol: a close frame that says why is on its way to it and must not be overtaken. */
  #refusing = false
  /** Messages of this read of the socket, which bounds them. */
  #received: Buffer[] = []
  readonly #handOver = () => {
    const received = this.#received
    if (received.length === 0 || this.destroyed) return
    this.#received = []
    let hasRoom = true
    for (const chunk of joined(received)) hasRoom = this.push(chunk)
    if (!hasRoom) this.#ws.pause()
  }

  /** `socket` is the one below. Emits 'part' with the number of bytes that came when no message has become whole by them. */
  constructor(ws: WebSocket, socket: Duplex) {
    super({ allowHalfOpen: false })
    this.#ws = ws
    joinFrames(socket)
    ws.on('message', (data: Buffer, isBinary) => this.#onMessage(data, isBinary))
    // The WebSocket itself listens longer, and has told of its messages by now.
    socket.on('data', (chunk: Buffer) => {
      if (this.#received.length === 0) this.emit('part', chunk.length)
    })
    // What was still being written fails through the callback of `send`.
    ws.once('close', () => {
      this.#handOver()
      this.push(null)
    })
    ws.on('error', error => {
      this.#handOver()
      this.#refusing = true
      this.destroy(error)
    })
  }

  override _read(): void {
    this.#ws.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#ws.send(chunk, done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    const messages = joined(chunks.map(({ chunk }) => chunk))
    const last = messages.pop() as Buffer
    for (const message of messages) this.#ws.send(message)
    this.#ws.send(last, done)
  }

  override _final(done: () => void): void {
    this.#ws.close(NORMAL_CLOSURE)
    done()
    // Whoever has said its last word does not listen either: a peer may take its time to answer a close frame.
    this.#handOver()
    this.push(null)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // When refusing, `ws` ends the connection itself, at the latest after its closeTimeout.
    if (!this.#refusing) this.#ws.terminate()
    done(error)
  }

  #onMessage(data: Buffer, isBinary: boolean): void {
    // A peer that is being refused, or hung up on, may go on sending until it reads why.
    if (this.destroyed || this.writableEnded) return
    if (!isBinary) {
      // [MQTT-6.0.0-1]
      this.#handOver()
      this.#refusing = true
      this.#ws.close(UNSUPPORTED_DATA, 'MQTT travels in binary frames')
      this.destroy()
      return
    }
    if (data.length > 0 && this.#received.push(data) === 1) process.nextTick(this.#handOver)
  }
}

/** Whoever listens to `socket` until now is told of fewer frames. */
function joinFrames(socket: Duplex): void {
  const joiner = new FrameJoiner()
  for (const listener of socket.listeners('data')) {
    const told = (chunk: Buffer) => {
      const bytes = joiner.join(chunk)
      if (bytes.length > 0) listener.call(socket, bytes)
    }
    // By this name, as with `once`, whoever has put it there can take it away.
    socket.off('data', listener as () => void).on('data', Object.assign(told, { listener }))
  }
}

/** Joins neighbours while they fit into one message. */
function joined(chunks: readonly Buffer[]): Buffer[] {
  const messages: Buffer[] = []
  let group: Buffer[] = []
  let bytes = 0
  const flush = () => {
    if (group.length > 0) messages.push(group.length === 1 ? (group[0] as Buffer) : Buffer.concat(group, bytes))
    group = []
    bytes = 0
  }
  for (const chunk of chunks) {
    if (bytes + chunk.length > MESSAGE_BYTES) flush()
    group.push(chunk)
    bytes += chunk.length
  }
  flush()
  return messages
}
