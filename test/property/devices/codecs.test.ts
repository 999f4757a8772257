/**
 * What every codec promises: the same readings however the stream is cut; its way back after noise; for one damaged byte, one frame and no
 * more; and no more memory than it says, whatever comes.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cut, decoder } from '../../support/decode.ts'
import { type Frame, SENDERS, type Sender } from './senders.ts'

const RUNS = { numRuns: 300 }
/** Megabytes for each codec, of either kind. */
const FUZZ_MEGABYTES = 1
const FUZZ_CHUNK = 4096
/** A busy machine takes its time. */
const TIMEOUT_MS = 60_000

const places = fc.array(fc.nat(), { maxLength: 12 })
const noise = fc.uint8Array({ maxLength: 100 }).map(bytes => Buffer.from(bytes))

interface Heard {
  values: unknown[]
  faults: string[]
  held: number
}

/** What comes of these chunks. A line was quiet before the first; of a sensor that is asked, it was. */
function hear({ settings, question }: Sender, chunks: readonly Buffer[]): Heard {
  const { codec, push, values, faults } = decoder(settings)
  codec.quiet?.()
  let held = 0
  if (question !== undefined) codec.asked?.(question)
  for (const chunk of chunks) {
    push(chunk)
    held = Math.max(held, codec.held ?? 0)
  }
  return { values, faults, held }
}

/** For a sensor that is asked: each part is what comes behind one question. */
function hearParts(sender: Sender, parts: readonly Buffer[], at: readonly number[]): Heard {
  const { settings, question } = sender
  if (question === undefined) return hear(sender, cut(Buffer.concat(parts), at))
  const { codec, push, values, faults } = decoder(settings)
  let held = 0
  for (const part of parts) {
    codec.asked?.(question)
    for (const chunk of cut(part, at)) {
      push(chunk)
      held = Math.max(held, codec.held ?? 0)
    }
  }
  return { values, faults, held }
}

/** Noise between frames: for those that come in lines without a sum, it has a line of its own, or it would be in theirs. */
function apart(sender: Sender, bytes: Buffer): Buffer {
  const { settings } = sender
  const inLines = 'maxLine' in settings || ('delimiter' in settings && settings.delimiter !== undefined)
  return inLines ? Buffer.concat([bytes, Buffer.from('\r\n')]) : bytes
}

function isSubsequence(some: readonly unknown[], all: readonly unknown[]): boolean {
  let at = 0
  for (const each of all) if (at < some.length && JSON.stringify(some[at]) === JSON.stringify(each)) at++
  return at === some.length
}

const valuesOf = (frames: readonly Frame[]): unknown[] => frames.map(({ value }) => value)

describe.each(SENDERS)('$name', { timeout: TIMEOUT_MS }, sender => {
  const { frame, isChecked, beginsByItself, bound } = sender
  const frames = fc.array(frame, { minLength: 1, maxLength: 6 })

  it('reads the same however the stream is cut', () => {
    fc.assert(
      fc.property(frames, places, noise, (sent, at, bytes) => {
        const parts = [...sent.map(each => each.bytes), apart(sender, bytes)]
        const whole = hearParts(sender, parts, [])
        expect(whole.values.slice(0, sent.length)).toEqual(valuesOf(sent))
        const pieces = hearParts(sender, parts, at)
        expect([pieces.values, pieces.faults]).toEqual([whole.values, whole.faults])
        const stream = Buffer.concat(parts)
        const byByte = hear(
          sender,
          [...stream].map(each => Buffer.of(each)),
        )
        const atOnce = hear(sender, [stream])
        expect([byByte.values, byByte.faults]).toEqual([atOnce.values, atOnce.faults])
        for (const { held } of [pieces, byByte]) expect(held).toBeLessThanOrEqual(bound)
      }),
      RUNS,
    )
  })

  it('reads every frame with noise before, between and after', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(noise, frame), { minLength: 1, maxLength: 5 }), noise, places, (sent, last, at) => {
        const parts = sent.map(([bytes, { bytes: own }]) => Buffer.concat([apart(sender, bytes), own]))
        const heard = hearParts(sender, [...parts, apart(sender, last)], at)
        const values = sent.map(([, { value }]) => value)
        if (isChecked) expect(heard.values).toEqual(values)
        else expect(isSubsequence(values, heard.values)).toBe(true)
        expect(heard.held).toBeLessThanOrEqual(bound)
      }),
      RUNS,
    )
  })

  it('loses one frame, and no more, for a lost byte', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { minLength: 3, maxLength: 5 }),
        fc.nat(),
        fc.nat(),
        places,
        (sent, which, where, at) => {
          const index = which % (sent.length - 1)
          const hit = sent[index]?.bytes ?? Buffer.alloc(0)
          const place = where % hit.length
          const damaged = Buffer.concat([hit.subarray(0, place), hit.subarray(place + 1)])
          const { values } = hearParts(
            sender,
            sent.map((each, i) => (i === index ? damaged : each.bytes)),
            at,
          )
          const all = valuesOf(sent)
          const others = all.toSpliced(index, 1)
          if (isChecked) {
            // Either the byte did not matter (a line end), or its frame is missing.
            expect([all, others]).toContainEqual(values)
            return
          }
          // Without a sum, the damaged frame may read as something else; a lost end may take the next along, where lines do not begin by themselves.
          const spared = beginsByItself || hearsEnd(sender, place, hit) ? others : all.toSpliced(index, 2)
          expect(isSubsequence(spared, values)).toBe(true)
          expect(values.length).toBeLessThanOrEqual(sent.length)
        },
      ),
      RUNS,
    )
  })

  it.each(['noise', 'pieces'] as const)(`survives ${FUZZ_MEGABYTES} MB of %s, and reads on`, kind => {
    const samples = fc.sample(frame, { numRuns: 50, seed: 1 })
    const chunk = generator(sender.name, samples)[kind]
    const { codec, push, values, faults } = decoder(sender.settings)
    const begun = performance.now()
    let held = 0
    let bytes = 0
    while (bytes < FUZZ_MEGABYTES * 1e6) {
      if (sender.question !== undefined) codec.asked?.(sender.question)
      const next = chunk()
      push(next)
      bytes += next.length
      held = Math.max(held, codec.held ?? 0)
    }
    console.log(
      `${sender.name}: ${bytes} bytes of ${kind} in ${Math.round(performance.now() - begun)} ms, ` +
        `${values.length} readings, ${faults.length} faults, at most ${held} of ${bound} bytes held`,
    )
    expect(held).toBeLessThanOrEqual(bound)
    // Pieces may fit together, or, where the sum is a single byte, seem to.
    if (isChecked && kind === 'noise') expect(values).toEqual([])

    // What a piece began is over after a frame or two.
    for (const each of samples.slice(0, 3)) push(each.bytes)
    for (const each of samples.slice(3, 6)) {
      if (sender.question !== undefined) codec.asked?.(sender.question)
      push(each.bytes)
    }
    expect(values.slice(-3)).toEqual(valuesOf(samples.slice(3, 6)))
  })
})

describe.each(SENDERS.filter(({ isChecked }) => isChecked))('$name', { timeout: TIMEOUT_MS }, sender => {
  const frames = fc.array(sender.frame, { minLength: 1, maxLength: 6 })

  it('has no false reading of a byte that was changed', () => {
    fc.assert(
      fc.property(frames, fc.nat(), fc.integer({ min: 1, max: 255 }), places, (sent, where, change, at) => {
        const parts = sent.map(each => Buffer.from(each.bytes))
        const [first] = parts
        if (first === undefined) return
        const place = where % first.length
        first[place] = (first[place] ?? 0) ^ change
        const { values } = hearParts(sender, parts, at)
        const all = valuesOf(sent)
        expect([all, all.slice(1)]).toContainEqual(values)
      }),
      RUNS,
    )
  })
})

/** Whether the frame still ends when it loses the byte at `place`: a `\r` may go. */
function hearsEnd({ settings }: Sender, place: number, bytes: Buffer): boolean {
  return 'maxLine' in settings ? place !== bytes.length - 1 : 'delimiter' in settings && place < bytes.length - 2
}

/** Chunks that are the same every time: random bytes; and these together with pieces of frames, which lack their beginning or their end. */
function generator(seed: string, samples: readonly Frame[]): { noise: () => Buffer; pieces: () => Buffer } {
  let state = [...seed].reduce((all, letter) => (all * 31 + letter.charCodeAt(0)) >>> 0, 1) || 1
  const next = () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state
  }
  const junk = (length: number) => Buffer.from(Uint8Array.from({ length }, () => next() >>> 24))
  const piece = () => {
    const bytes = samples[next() % samples.length]?.bytes ?? Buffer.alloc(0)
    const place = next() % bytes.length
    return next() % 2 === 0 ? bytes.subarray(0, place) : bytes.subarray(place)
  }
  return {
    noise: () => junk(FUZZ_CHUNK),
    pieces: () => Buffer.concat(Array.from({ length: 64 }, () => (next() % 2 === 0 ? piece() : junk(next() % 32)))),
  }
}
