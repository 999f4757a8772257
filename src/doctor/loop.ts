/**
 * What a client would meet at a server: CONNECT, and if that is taken, a message that is published to itself. Speaks MQTT 5, or
 * 3.1.1 where that is all that may be spoken.
 */
import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { ackPacketId, ackReasonCode, decodeAck } from '../mqtt/acks.ts'
import {
  decodeConnack,
  decodeMessage,
  decodeSuback,
  encodeAck,
  encodeConnect,
  encodeGoodbye,
  encodePublish,
  encodeSubscribe,
} from '../mqtt/client-packets.ts'
import { FrameReader } from '../mqtt/frames.ts'
import { PacketType, type QoS } from '../mqtt/packets.ts'

/** Bytes of a packet: nobody else's messages are asked for. */
const MAX_PACKET = 65_536
/** Seconds. */
const KEEPALIVE = 30
const REFUSED = 0x80

export interface LoopSettings {
  readonly version: 4 | 5
  readonly clientId: string
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** The highest that the server lets be used. */
  readonly maxQos: QoS
  /** Ends when CONNECT has been answered. */
  readonly connectOnly?: boolean
}

/** How far it came. */
export type LoopOutcome =
  | { readonly reached: 'end' }
  /** The server answered CONNECT with this code. */
  | { readonly reached: 'refused'; readonly code: number }
  /** It was let in, and may not publish or subscribe. */
  | { readonly reached: 'denied'; readonly topic: string }
  /** The connection went, or no answer came. */
  | { readonly reached: 'lost'; readonly reason: string; readonly wasIn: boolean }

/** Never rejects; `stream` is closed afterwards. */
export async function tryLoop(stream: Duplex, settings: LoopSettings, signal: AbortSignal): Promise<LoopOutcome> {
  const { version, clientId, maxQos, connectOnly = false } = settings
  const topic = `larder/doctor/${randomBytes(6).toString('hex')}`
  const payload = randomBytes(16)
  const qos = Math.min(1, maxQos) as QoS
  let wasIn = false
  const outcome = await new Promise<LoopOutcome>(resolve => {
    const lost = (reason: string) => resolve({ reached: 'lost', reason, wasIn })
    const onFrame = (header: number, buffer: Buffer, _start: number, body: number, end: number): boolean => {
      switch (header >> 4) {
        case PacketType.CONNACK: {
          const { code } = decodeConnack(buffer, body, end, version)
          if (code !== 0) resolve({ reached: 'refused', code })
          else if (connectOnly) resolve({ reached: 'end' })
          else {
            wasIn = true
            const subscriptions = [{ topic, qos, nl: false, rap: false, rh: 0 as const }]
            stream.write(encodeSubscribe({ messageId: 1, subscriptions, properties: {} }, version))
          }
          break
        }
        case PacketType.SUBACK:
          if (decodeSuback(buffer, body, end, version).codes.some(code => code >= REFUSED))
            resolve({ reached: 'denied', topic })
          else stream.write(encodePublish({ topic, payload, qos, retain: false, packetId: 2, properties: {} }, version))
          break
        case PacketType.PUBACK: {
          const ack = decodeAck(PacketType.PUBACK, buffer, body, end, version)
          if (ackPacketId(ack) === 2 && ackReasonCode(ack) >= REFUSED) resolve({ reached: 'denied', topic })
          break
        }
        case PacketType.PUBLISH: {
          const message = decodeMessage(header, buffer, body, end, version)
          if (message.qos === 1) stream.write(encodeAck(PacketType.PUBACK, message.packetId))
          if (message.topic === topic && message.payload.equals(payload)) resolve({ reached: 'end' })
          break
        }
      }
      return true
    }
    const frames = new FrameReader({ maxPacketSize: MAX_PACKET, onFrame })
    stream.on('data', bytes => {
      try {
        frames.push(bytes)
      } catch {
        lost('it answers what is not MQTT')
      }
    })
    stream.on('error', error => lost(error.message))
    stream.on('close', () => lost('it closed the connection'))
    signal.addEventListener('abort', () => lost('it does not answer'), { once: true })
    if (signal.aborted) lost('it does not answer')
    stream.write(
      encodeConnect({
        protocolVersion: version,
        clean: true,
        keepalive: KEEPALIVE,
        clientId,
        will: undefined,
        username: settings.username,
        password: settings.password === undefined ? undefined : Buffer.from(settings.password),
        properties: {},
      }),
    )
  })
  if (outcome.reached !== 'lost') stream.end(encodeGoodbye(version, 0, {}))
  else stream.destroy()
  return outcome
}
