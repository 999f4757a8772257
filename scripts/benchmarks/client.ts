/** Connections of the Node side of the benchmarks, as plain sockets. */
import { createConnection, type Socket } from 'node:net'
import { generate } from 'mqtt-packet'

/** ms for a connection to be made and a subscription granted. */
const SETUP_TIMEOUT = 10_000

/** Connects as an MQTT 3.1.1 client. What the broker sends behind the CONNACK stays in the socket, which is paused. */
export async function openClient(port: number, clientId: string, options: { clean?: boolean } = {}): Promise<Socket> {
  const { clean = true } = options
  const socket = createConnection(port, '127.0.0.1')
  socket.setNoDelay(true)
  socket.on('error', () => {}) // 'close' follows, and that is looked at
  socket.write(generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId, clean, keepalive: 0 }))
  await answer(socket, 0x20, 4)
  return socket
}

export async function subscribe(socket: Socket, topic: string, qos: 0 | 1): Promise<void> {
  socket.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }] }))
  await answer(socket, 0x90, 5)
}

/** Waits for one packet of `length` bytes that begins with `first`, takes it off the socket and pauses that. */
function answer(socket: Socket, first: number, length: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let got = Buffer.alloc(0)
    const done = (fault?: string): void => {
      clearTimeout(late)
      socket.off('data', onData).off('close', onClose).pause()
      if (fault === undefined) resolve()
      else {
        socket.destroy()
        reject(new Error(fault))
      }
    }
    const late = setTimeout(() => done(`no answer from the broker within ${SETUP_TIMEOUT} ms`), SETUP_TIMEOUT)
    const onClose = (): void => done('the broker closed the connection')
    const onData = (chunk: Buffer): void => {
      got = Buffer.concat([got, chunk])
      if (got.length < length) return
      const isExpected = got[0] === first
      done(isExpected ? undefined : `unexpected answer from the broker: ${got.toString('hex', 0, length)}`)
      if (isExpected && got.length > length) socket.unshift(got.subarray(length))
    }
    socket.on('data', onData).on('close', onClose).resume()
  })
}
