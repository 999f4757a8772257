/** Packets that no encoder would make, and the ways in which MQTT 5 refuses them, for its tables. */
import { REFERENCE } from '../../support/broker.ts'
import {
  closed,
  connect,
  expect,
  type Fields,
  open,
  type Part,
  props,
  type Raw,
  raw,
  type Step,
  type Steps,
  send,
  text,
  utf8,
} from '../rig/format.ts'

export const MALFORMED = 0x81
export const PROTOCOL_ERROR = 0x82

/** Connect flags (§3.1.2.3). */
export const CLEAN = 0x02
export const WILL = 0x04
export const WILL_RETAIN = 0x20
export const PASSWORD = 0x40
export const USERNAME = 0x80

/** The Session Expiry Interval that never ends (§3.1.2.11.2). */
export const NEVER = 0xffffffff

interface Header {
  name?: string
  level?: number
  flags?: number
  /** Seconds, below 256. */
  keepalive?: number
  properties?: readonly Part[]
}

/** A CONNECT with this header and whatever payload; by default a good one with a clean start. */
export function connectBytes(header: Header, ...payload: Part[]): Raw {
  const { name = 'MQTT', level = 5, flags = CLEAN, keepalive = 0, properties = [] } = header
  return raw(0x10, utf8(name), level, flags, 0, keepalive, props(...properties), ...payload)
}

/** A CONNECT with a will that has these properties. */
export const willBytes = (...properties: Part[]): Raw =>
  connectBytes({ flags: CLEAN | WILL }, utf8('~a'), props(...properties), utf8('~/will'), utf8('x'))

/** A PUBLISH of QoS 0 to `~/t` with these properties. */
export const publishBytes = (...properties: Part[]): Raw => raw(0x30, utf8('~/t'), props(...properties), text('x'))

/** A SUBSCRIBE to `~/t` with these properties. */
export const subscribeBytes = (...properties: Part[]): Raw => raw(0x82, 0, 1, props(...properties), utf8('~/t'), 0)

/** One string pair of a User Property. */
export const pair = (name: string, value: string): Part[] => [0x26, utf8(name), utf8(value)]

/** The server ends the connection and says why, in one of these ways. That it says so is a SHOULD (§4.13.1), which Mosquitto forgoes at times. */
export const refused = (on: string, ...codes: number[]): readonly Step[] => {
  const disconnect = { cmd: 'disconnect', reasonCode: isOneOf(codes) }
  return REFERENCE ? [closed(on, { maybe: disconnect })] : [expect(on, disconnect), closed(on)]
}

/** Each of these packets, on a connection of its own that was accepted before, is answered with DISCONNECT and closed. */
export const refuses = (codes: number | readonly number[], ...packets: (Raw | string)[]): readonly Steps[] =>
  packets.flatMap((packet, index) => [
    connect(`bad${index}`),
    send(`bad${index}`, packet),
    refused(`bad${index}`, ...[codes].flat()),
  ])

/** Each of these as the first packet is answered with CONNACK, which the standard leaves to the server (§4.13.1), and closed. */
export const refusesConnect = (codes: number | readonly number[], ...packets: (Raw | string)[]): readonly Steps[] =>
  packets.flatMap((packet, index) => [
    open(`bad${index}`),
    send(`bad${index}`, packet),
    closed(`bad${index}`, {
      maybe: { cmd: 'connack', sessionPresent: false, reasonCode: isOneOf([codes].flat()) },
    }),
  ])

/** A CONNECT that is read but not let in: the code has to be there, as it is for the client to act on. */
export const rejects = (on: string, packet: Fields | Raw, ...codes: number[]): readonly Steps[] => [
  open(on),
  send(on, 'raw' in packet ? packet : { cmd: 'connect', ...packet }),
  expect(on, { cmd: 'connack', sessionPresent: false, reasonCode: isOneOf(codes) }),
  closed(on),
]

/** SUBSCRIBE with a Subscription Identifier, and its SUBACK. */
export const subscribeWith = (
  on: string,
  subscriptionIdentifier: number,
  ...subscriptions: (Fields & { topic: string; qos: number })[]
): readonly Step[] => [
  send(on, { cmd: 'subscribe', messageId: 60_001, properties: { subscriptionIdentifier }, subscriptions }),
  expect(on, { cmd: 'suback', messageId: 60_001, granted: subscriptions.map(({ qos }) => qos) }),
]

/** Just these Subscription Identifiers, in any order. */
export const identifiers =
  (...wanted: number[]) =>
  (value: unknown): boolean => {
    const came = [value].flat() as number[]
    return JSON.stringify(came.toSorted((a, b) => a - b)) === JSON.stringify(wanted.toSorted((a, b) => a - b))
  }

export const between =
  (from: number, to: number) =>
  (value: unknown): boolean =>
    Number(value) >= from && Number(value) <= to

/** Properties, or none at all, without this one. */
export const lacks =
  (name: string) =>
  (properties: unknown): boolean =>
    (properties as Fields | null | undefined)?.[name] === undefined

/** A QoS 1 or 2 message was taken, whoever wants it. */
export const isTaken = (code: unknown): boolean => code === 0 || code === 0x10

/** A reason code that says no. */
export const isFailure = (code: unknown): boolean => Number(code) >= 0x80

/** Strings that are not UTF-8, with their lengths, as hex. */
export const ILL_FORMED: readonly string[] = [
  '00 01 ff', // a byte that UTF-8 never has
  '00 02 61 80', // a lone continuation byte
  '00 02 e2 82', // a sequence cut short
  '00 02 c1 81', // an overlong sequence
  '00 03 ed a0 80', // a high surrogate
  '00 03 ed bf bf', // a low surrogate
  '00 06 ed a0 bd ed b8 80', // a pair of surrogates
  '00 04 f4 90 80 80', // beyond U+10FFFF
]

/** Strings with U+0000. */
export const NUL: readonly string[] = ['00 01 00', '00 03 61 00 62', '00 02 c0 80']

function isOneOf(codes: readonly number[]): (code: unknown) => boolean {
  const names = codes.map(code => `0x${code.toString(16)}`)
  const test = (code: unknown): boolean => codes.includes(Number(code))
  Object.defineProperty(test, 'name', { value: names.join(' or ') })
  return test
}
