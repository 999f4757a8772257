/**
 * The customer port (P1) of smart meters in the Netherlands, Belgium, Luxembourg and others after them: a telegram of lines from `/` to
 * `!`, once in one to ten seconds. From version 4 on, four hexadecimal digits behind the `!` are the CRC of all that; versions 2 and 3
 * have none, and there every line must be one that a meter writes.
 *
 * `/` begins a telegram wherever it stands (IEC 62056-21 has none in the text), so noise or a lost byte cost the telegram they
 * are in. A telegram without CRC is taken only from a meter that was never seen to have one.
 */
import type { Reading } from '../../src/devices/ports.ts'
import { reasonOf } from '../../src/kernel/errors.ts'
import type { Codec, CodecEvents } from './codec.ts'
import { NOISE, NOISE_LIMIT } from './frames.ts'
import { OBIS_VALUES, readTelegram } from './obis.ts'
import { crc16 } from './sums.ts'

/** Bytes of a telegram: a full one with a message of 1,024 characters and a year of peaks has under 5,000. */
export const MAX_TELEGRAM = 8192
/** Hexadecimal digits of the CRC. */
const CRC_DIGITS = 4

const SLASH = 0x2f
const BANG = 0x21
const LF = 0x0a
const CR = 0x0d

const HEX = /[0-9a-f]/i

/** Lines that only meters with a CRC write: the version of their telegrams, for the Netherlands and for Belgium. */
const HAS_VERSION = /^(?:1-3:0\.2\.8|0-0:96\.1\.4)\(/m

export function dsmrCodec(events: CodecEvents): Codec {
  const telegram = Buffer.alloc(MAX_TELEGRAM)
  let length = 0
  /** Outside of a telegram, in it, or behind its `!`. */
  let place: 'outside' | 'inside' | 'end' = 'outside'
  let digits = ''
  let hasCrc = false
  let skipped = 0

  function take(byte: number): void {
    if (byte === SLASH) begin()
    else if (place === 'inside') add(byte)
    else if (place === 'end') close(byte)
    else if (byte !== CR && byte !== LF && ++skipped === NOISE_LIMIT) {
      skipped = 0
      events.fault(NOISE)
    }
  }

  function begin(): void {
    if (place !== 'outside') events.fault('a telegram without an end was dropped')
    place = 'inside'
    length = 0
    add(SLASH)
  }

  function add(byte: number): void {
    if (length === MAX_TELEGRAM) {
      drop(`a telegram of more than ${MAX_TELEGRAM} bytes was dropped`)
      return
    }
    telegram[length++] = byte
    if (byte !== BANG) return
    place = 'end'
    digits = ''
  }

  /** A byte behind the `!`. */
  function close(byte: number): void {
    if ((byte === CR || byte === LF) && digits === '') finish(undefined)
    else if (!HEX.test(String.fromCharCode(byte))) drop('a telegram with half a CRC was dropped')
    else {
      digits += String.fromCharCode(byte)
      if (digits.length === CRC_DIGITS) finish(Number.parseInt(digits, 16))
    }
  }

  function finish(crc: number | undefined): void {
    try {
      const reading = read(telegram.subarray(0, length), crc)
      place = 'outside'
      skipped = 0
      events.reading(reading)
    } catch (error) {
      drop(reasonOf(error))
    }
  }

  /** Throws an `Error` that says why the telegram cannot be taken. */
  function read(bytes: Buffer, crc: number | undefined): Reading {
    if (crc !== undefined && crc !== crc16(bytes, 0)) throw new Error('a telegram with a wrong CRC was dropped')
    const text = bytes.toString('latin1')
    if (crc === undefined && (hasCrc || HAS_VERSION.test(text))) {
      throw new Error('a telegram without its CRC was dropped')
    }
    hasCrc ||= crc !== undefined
    return readTelegram(text, crc !== undefined)
  }

  function drop(reason: string): void {
    place = 'outside'
    events.fault(reason)
  }

  return {
    push(chunk) {
      for (const byte of chunk) take(byte)
    },
    values: OBIS_VALUES,
    get held() {
      return place === 'outside' ? 0 : length
    },
  }
}
