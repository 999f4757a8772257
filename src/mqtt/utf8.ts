/**
 * Strings on the wire. Most are ASCII: one loop over the bytes says so, and then neither a full check
 * nor a UTF-8 decoder is needed. Bytes EF BB BF stay what they are, U+FEFF [MQTT-1.5.3-3].
 */
import { isUtf8 } from 'node:buffer'
import { MalformedPacketError } from './malformed.ts'

/** True when all bytes of `buffer[start..end)` are ASCII. Throws MalformedPacketError when they are no MQTT string; `what` names it. */
export function checkUtf8(buffer: Buffer, start: number, end: number, what: string): boolean {
  let ascii = true
  for (let i = start; i < end; i++) {
    const byte = buffer[i]!
    // [MQTT-1.5.3-2] No other UTF-8 sequence contains a zero byte.
    if (byte === 0) throw new MalformedPacketError(`the ${what} contains U+0000`)
    if (byte > 0x7f) ascii = false
  }
  // [MQTT-1.5.3-1] Surrogates are not well-formed UTF-8 either.
  if (!ascii && !isUtf8(buffer.subarray(start, end))) {
    throw new MalformedPacketError(`the ${what} is not valid UTF-8`)
  }
  return ascii
}

/** The string in `buffer[start..end)`, checked as `checkUtf8` does. */
export function decodeUtf8(buffer: Buffer, start: number, end: number, what: string): string {
  const ascii = checkUtf8(buffer, start, end, what)
  return buffer.toString(ascii ? 'latin1' : 'utf8', start, end)
}
