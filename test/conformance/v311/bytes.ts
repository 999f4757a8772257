/** Packets that no encoder would make, for the tables of MQTT 3.1 and 3.1.1. */
import { closed, connect, open, type Part, type Raw, raw, type Steps, send, utf8 } from '../rig/format.ts'

/** Connect flags (§3.1.2.3). */
export const CLEAN = 0x02
export const WILL = 0x04
export const WILL_RETAIN = 0x20
export const PASSWORD = 0x40
export const USERNAME = 0x80

interface Header {
  name?: string
  level?: number
  flags?: number
  /** Seconds, below 256. */
  keepalive?: number
}

/** A CONNECT with this header and whatever payload; by default a good one with a clean session. */
export function connectBytes(
  { name = 'MQTT', level = 4, flags = CLEAN, keepalive = 0 }: Header,
  ...payload: Part[]
): Raw {
  return raw(0x10, utf8(name), level, flags, 0, keepalive, ...payload)
}

/** Strings that are not UTF-8, with their lengths, as hex. */
const ILL_FORMED: Readonly<Record<string, string>> = {
  'a byte that UTF-8 never has': '00 01 ff',
  'a lone continuation byte': '00 02 61 80',
  'a sequence cut short': '00 02 e2 82',
  'an overlong sequence': '00 02 c1 81',
  'a high surrogate': '00 03 ed a0 80',
  'a pair of surrogates': '00 06 ed a0 bd ed b8 80',
  'beyond U+10FFFF': '00 04 f4 90 80 80',
}
const NUL: Readonly<Record<string, string>> = {
  'U+0000 alone': '00 01 00',
  'U+0000 inside': '00 03 61 00 62',
  'an overlong U+0000': '00 02 c0 80',
}

/** Sends `packet` with every string that is not UTF-8 in its place; each closes its connection, without a word. */
export const refusesIllFormed = (packet: (string: string) => Raw, isFirst = false): readonly Steps[] =>
  refusesEach(ILL_FORMED, packet, isFirst)

/** The same for strings with U+0000. */
export const refusesNul = (packet: (string: string) => Raw, isFirst = false): readonly Steps[] =>
  refusesEach(NUL, packet, isFirst)

/** Each of these packets, on a connection of its own that was accepted before, closes it. */
export const closes = (...packets: (Raw | string)[]): readonly Steps[] => endsEach(packets, false)

/** Each of these as the first packet closes the connection, without a CONNACK. */
export const closesAtOnce = (...packets: (Raw | string)[]): readonly Steps[] => endsEach(packets, true)

function refusesEach(
  strings: Readonly<Record<string, string>>,
  packet: (string: string) => Raw,
  isFirst: boolean,
): readonly Steps[] {
  return endsEach(Object.values(strings).map(packet), isFirst)
}

function endsEach(packets: readonly (Raw | string)[], isFirst: boolean): readonly Steps[] {
  return packets.flatMap((packet, index) => {
    const name = `bad${index}`
    return [isFirst ? open(name) : connect(name), send(name, packet), closed(name)]
  })
}
