/**
 * The load generator: one publisher, one subscriber, QoS 0, raw sockets. It has to be much faster than any
 * broker, so it encodes one batch of equal packets beforehand, writes that again and again, and on the
 * other side counts bytes: equal packets make the count of messages a division. The publisher stays at
 * most a window ahead of the subscriber, because brokers drop QoS 0 that piles up, and a number
 * that counts dropped messages as delivered is worth nothing.
 */
import { createConnection, type Socket } from 'node:net'
import { generate } from 'mqtt-packet'

export interface Load {
  port: number
  /** Messages to publish. */
  messages: number
  /** Bytes of a payload. */
  payload: number
  /** Messages published and not yet received, at most. */
  window: number
}

export interface LoadResult {
  delivered: number
  lost: number
  /** From the first write to the last message received. */
  seconds: number
}

/** Messages in one write: few enough for several writes in a window, many enough to make a write cheap. */
const BATCH = 250
/** ms without a message after which those outstanding are counted as lost. */
const LOST_AFTER = 1_000
/** ms for a connection to be made and a subscription granted. */
const SETUP_TIMEOUT = 10_000

const TOPIC = 'bench/load'

/** Publishes the load through the broker at `port` and counts what comes out. */
export async function generateLoad(load: Load): Promise<LoadResult> {
  const subscriber = await openClient(load.port, 'bench-subscriber')
  const publisher = await openClient(load.port, 'bench-publisher')
  try {
    await subscribe(subscriber, TOPIC, 0)
    return await pump(publisher, subscriber, load)
  } finally {
    subscriber.destroy()
    publisher.destroy()
  }
}

function pump(publisher: Socket, subscriber: Socket, load: Load): Promise<LoadResult> {
  const packet = generate({
    cmd: 'publish',
    topic: TOPIC,
    payload: Buffer.alloc(load.payload, 'x'),
    qos: 0,
    retain: false,
    dup: false,
  })
  const batch = Buffer.concat(new Array<Buffer>(BATCH).fill(packet))
  return new Promise((resolve, reject) => {
    let sent = 0
    let lost = 0
    let bytes = 0
    let lastReceived = performance.now()
    const begun = lastReceived
    const delivered = (): number => Math.floor(bytes / packet.length)

    const send = (): void => {
      while (sent < load.messages && sent - delivered() - lost + BATCH <= load.window) {
        const count = Math.min(BATCH, load.messages - sent)
        sent += count
        publisher.write(count === BATCH ? batch : batch.subarray(0, count * packet.length))
      }
    }
    const finish = (): void => {
      clearInterval(watch)
      resolve({ delivered: delivered(), lost, seconds: (lastReceived - begun) / 1_000 })
    }
    // What has not come after so long will not come: count it, and go on rather than wait for ever.
    const watch = setInterval(() => {
      if (performance.now() - lastReceived < LOST_AFTER) return
      lost = sent - delivered()
      if (sent === load.messages) finish()
      else send()
    }, LOST_AFTER / 10)

    subscriber.on('data', chunk => {
      // Every packet must be a copy of ours; looking at the first byte of each chunk's first packet is enough to notice.
      const start = (packet.length - (bytes % packet.length)) % packet.length
      if (start < chunk.length && chunk[start] !== packet[0]) {
        clearInterval(watch)
        reject(new Error(`the broker sent something else than the published packets: ${chunk[start]}`))
        return
      }
      bytes += chunk.length
      lastReceived = performance.now()
      if (delivered() + lost >= load.messages) finish()
      else send()
    })
    for (const socket of [publisher, subscriber]) {
      socket.on('close', () => {
        clearInterval(watch)
        reject(new Error('the broker closed a connection of the load generator'))
      })
      socket.resume()
    }
    send()
  })
}

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
