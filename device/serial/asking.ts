/**
 * Makes a sensor that answers in lines one that is asked: the owner says with what (`ask`), any codec of lines reads the
 * answer. The first reading after a question is its answer. Each question begins with a new codec, so that a piece of a
 * late answer is not glued to the next one.
 */
import type { Codec, CodecEvents, CodecFactory } from '../codecs/codec.ts'

/** A codec over `make`'s that has these questions. */
export function askingCodec(questions: readonly Buffer[], make: CodecFactory, events: CodecEvents): Codec {
  const own: CodecEvents = {
    reading: reading => {
      events.reading(reading)
      events.answered()
    },
    fault: reason => events.fault(reason),
    answered: () => events.answered(),
  }
  let codec = make(own)
  return {
    questions,
    push: chunk => codec.push(chunk),
    asked() {
      codec = make(own)
      codec.quiet?.()
    },
    values: codec.values,
  }
}
