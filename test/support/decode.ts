/** A codec with somebody who listens to it. */

import type { Codec, CodecEvents } from '../../device/codecs/codec.ts'
import { createCodec } from '../../device/codecs/create.ts'
import type { BuiltInSettings } from '../../device/codecs/settings.ts'
import type { Reading } from '../../src/devices/ports.ts'

export interface Listener {
  readonly codec: Codec
  readonly readings: Reading[]
  readonly faults: string[]
  /** Values of the readings, without prototypes or times. */
  readonly values: unknown[]
  answers: number
  push(...chunks: (string | Buffer)[]): void
}

/** Listens to the codec that `make` makes. */
export function listenTo(make: (events: CodecEvents) => Codec): Listener {
  const readings: Reading[] = []
  const faults: string[] = []
  const values: unknown[] = []
  const codec = make({
    reading: reading => {
      readings.push(reading)
      values.push(typeof reading.value === 'object' ? { ...reading.value } : reading.value)
    },
    fault: reason => void faults.push(reason),
    answered: () => {
      listener.answers++
    },
  })
  const listener: Listener = {
    codec,
    readings,
    faults,
    answers: 0,
    values,
    push(...chunks) {
      for (const chunk of chunks) codec.push(typeof chunk === 'string' ? Buffer.from(chunk, 'utf8') : chunk)
    },
  }
  return listener
}

export function decoder(settings: BuiltInSettings): Listener {
  return listenTo(events => createCodec(settings, events))
}

/** Reads one line, with others before it. Throws what the codec finds wrong with it. */
export function lineReader(settings: BuiltInSettings): (line: string) => Reading {
  return line => {
    const { codec, readings, faults, push } = decoder(settings)
    codec.quiet?.()
    push(`${line}\n`)
    const [reading] = readings
    if (reading === undefined || faults.length > 0) throw new Error(faults[0] ?? 'no reading and no fault')
    return reading
  }
}

/** Cuts bytes at the given places, which may be anywhere. */
export function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map(place => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end))
}
