/**
 * The load of `scripts/bench store`: QoS 1 messages into the queues of persistent sessions, and out of them again.
 * Nothing is encoded while it is measured: the publisher has a ring of finished packets, each with its own
 * packet identifier, and only writes a message's number into its payload. Packets of one length make an
 * acknowledgement or a message a place in the stream. The numbers tell whether all came, and how often.
 */
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { generate } from 'mqtt-packet'
import { openClient, subscribe } from './client.ts'

export interface Enqueuing {
  /** Bytes of a payload, which begins with the message's number. */
  payload: number
  /** Messages, numbered from `first`. */
  messages: number
  first: number
  /** Messages sent and not acknowledged, at most; up to RING. */
  window: number
  /** After so many seconds no more are sent. */
  seconds: number
}

export interface Enqueued {
  sent: number
  acknowledged: number
  /** From the first write to the last acknowledgement. */
  seconds: number
}

export interface Taking {
  payload: number
  /** Messages to come, numbered from `first`. A publisher that ends early may still make it fewer. */
  messages: number
  first: number
  /** After so many seconds no more are waited for. */
  seconds: number
  /** Monotonic ms from which the time is counted: now, or when the client began to connect. */
  begun?: number
}

export interface Taken {
  /** Different messages that came. */
  delivered: number
  /** Messages that came once more. */
  repeated: number
  /** From `begun` to the first message. */
  untilFirst: number
  /** From `begun` to the last message. */
  seconds: number
}

const TOPIC = 'bench/queue'
/** Packets made beforehand; more than any window, so that a packet is never changed while it is on its way. */
export const RING = 8_192
/** Part of the window that is free before more is sent: few large writes instead of many small ones. */
const REFILL = 0.1
/** ms without an acknowledgement after which a broker is taken for stuck; Mosquitto says nothing while it saves. */
const STUCK_AFTER = 30_000
/** ms without a message after which those that did not come are lost. */
const LOST_AFTER = 5_000
/** ms between two looks at the time. */
const LOOK_EVERY = 100
/** ms between two attempts to connect to a broker that is starting. */
const KNOCK_EVERY = 2
/** The first two bytes of every PUBACK. */
const PUBACK = 0x4002
const PUBACK_LENGTH = 4
const DISCONNECT = Buffer.of(0xe0, 0)
/** First byte of a PUBLISH of QoS 1, and the bits of it that may differ: DUP and RETAIN. */
const PUBLISH = 0x32
const PUBLISH_FLAGS = 0x09

/** Makes persistent sessions that want the messages, and leaves them. */
export async function leaveSessions(port: number, clientIds: readonly string[]): Promise<void> {
  for (const clientId of clientIds) {
    const socket = await openClient(port, clientId, { clean: false })
    await subscribe(socket, TOPIC, 1)
    await disconnect(socket)
  }
}

/** Publishes; resolves when all that was sent is acknowledged. */
export async function enqueue(port: number, load: Enqueuing): Promise<Enqueued> {
  const socket = await openClient(port, 'bench-publisher')
  const { template, numberAt } = publishPacket(load.payload)
  const { length } = template
  const ring = Buffer.concat(new Array<Buffer>(RING).fill(template))
  for (let slot = 0; slot < RING; slot++) ring.writeUInt16BE(slot + 1, slot * length + numberAt - 2)

  const begun = performance.now()
  let limit = load.messages
  let sent = 0
  let bytes = 0
  const send = (): void => {
    const free = load.window - (sent - Math.floor(bytes / PUBACK_LENGTH))
    if (free < load.window * REFILL) return
    if (performance.now() - begun > load.seconds * 1_000) limit = sent
    for (let left = Math.min(free, limit - sent); left > 0; ) {
      const slot = sent % RING
      const count = Math.min(left, RING - slot)
      for (let i = 0; i < count; i++) ring.writeUInt32BE(load.first + sent + i, (slot + i) * length + numberAt)
      socket.write(ring.subarray(slot * length, (slot + count) * length))
      sent += count
      left -= count
    }
  }
  const finished = read(socket, {
    use(chunk) {
      expect(chunk[(PUBACK_LENGTH - (bytes % PUBACK_LENGTH)) % PUBACK_LENGTH] ?? PUBACK >> 8, PUBACK >> 8)
      bytes += chunk.length
      send()
    },
    isDone: () => bytes === limit * PUBACK_LENGTH,
    patience: STUCK_AFTER,
  })
  send()
  const ended = await finished
  await disconnect(socket)
  return { sent, acknowledged: Math.floor(bytes / PUBACK_LENGTH), seconds: (ended - begun) / 1_000 }
}

/** Comes back as `clientId` to the session that was left. */
export function comeBack(port: number, clientId: string): Promise<Socket> {
  return openClient(port, clientId, { clean: false })
}

/** Takes and acknowledges messages until all have come or the time is over, and disconnects. */
export async function take(socket: Socket, load: Taking): Promise<Taken> {
  const { template, numberAt } = publishPacket(load.payload)
  const { length } = template
  const { first, begun = performance.now() } = load
  const seen = new Uint8Array(load.messages)
  const taken: Taken = { delivered: 0, repeated: 0, untilFirst: Number.NaN, seconds: 0 }
  let rest: Buffer = Buffer.alloc(0)
  const ended = await read(socket, {
    use(chunk) {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      const count = Math.floor(bytes.length / length)
      rest = bytes.subarray(count * length)
      if (count === 0) return
      expect((bytes[0] ?? 0) & ~PUBLISH_FLAGS, PUBLISH)
      if (taken.delivered === 0) taken.untilFirst = (performance.now() - begun) / 1_000
      const answers = Buffer.allocUnsafe(count * PUBACK_LENGTH)
      for (let i = 0; i < count; i++) {
        const at = i * length + numberAt
        const number = bytes.readUInt32BE(at) - first
        if (seen[number] === 0) taken.delivered++
        else taken.repeated++
        seen[number] = 1
        answers.writeUInt16BE(PUBACK, i * PUBACK_LENGTH)
        answers.writeUInt16BE(bytes.readUInt16BE(at - 2), i * PUBACK_LENGTH + 2)
      }
      socket.write(answers)
    },
    isDone: () => taken.delivered >= load.messages,
    patience: LOST_AFTER,
    deadline: begun + load.seconds * 1_000,
  })
  taken.seconds = (ended - begun) / 1_000
  await disconnect(socket)
  return taken
}

/** Resolves when the broker answers a CONNECT; rejects when it does not within `patience` ms. */
export async function untilConnack(port: number, patience: number): Promise<void> {
  const begun = performance.now()
  for (;;) {
    try {
      await disconnect(await openClient(port, 'bench-knock'))
      return
    } catch (error) {
      if (performance.now() - begun > patience) throw error
    }
    await pause(KNOCK_EVERY)
  }
}

interface Reading {
  use(chunk: Buffer): void
  isDone(): boolean
  /** ms without a sign of life after which it ends. */
  patience: number
  /** Monotonic, ms. */
  deadline?: number
}

/**
 * Gives every chunk to `use` until it is done, the deadline is over, or nothing comes any more. Resolves with the time of
 * the last chunk. Rejects when the broker closes the connection or `use` throws.
 */
function read(socket: Socket, reading: Reading): Promise<number> {
  const { use, isDone, patience, deadline = Number.POSITIVE_INFINITY } = reading
  return new Promise((resolve, reject) => {
    let last = performance.now()
    const end = (fault?: unknown): void => {
      clearInterval(look)
      socket.off('data', onData).off('close', onClose).pause()
      if (fault === undefined) resolve(last)
      else reject(fault)
    }
    const look = setInterval(() => {
      const now = performance.now()
      if (isDone() || now > deadline || now - last > patience) end()
    }, LOOK_EVERY)
    const onClose = (): void => end(new Error('the broker closed a connection of the load generator'))
    const onData = (chunk: Buffer): void => {
      last = performance.now()
      try {
        use(chunk)
        if (isDone()) end()
      } catch (error) {
        end(error)
      }
    }
    socket.on('data', onData).on('close', onClose).resume()
  })
}

function expect(byte: number, expected: number): void {
  if (byte !== expected) throw new Error(`the broker sent a packet that begins with ${byte}, not ${expected}`)
}

/** A message with packet identifier 1, and where its number stands: right behind the identifier. */
function publishPacket(payload: number): { template: Buffer; numberAt: number } {
  const template = generate({
    cmd: 'publish',
    topic: TOPIC,
    payload: Buffer.alloc(payload, 'x'),
    qos: 1,
    messageId: 1,
    retain: false,
    dup: false,
  })
  return { template, numberAt: template.length - payload }
}

/** Says goodbye, and waits until the broker has closed: by then it knows that the session is away. */
async function disconnect(socket: Socket): Promise<void> {
  const closed = new Promise(resolve => socket.on('close', resolve))
  socket.resume()
  socket.end(DISCONNECT)
  await closed
}
