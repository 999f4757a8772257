/**
 * A codec of the owner's own: a module whose default export makes one (`docs/codecs.md`). It is trusted to end, and with nothing else:
 * whatever it throws is a fault, and what it gives is looked at before anybody else sees it.
 */
import { pathToFileURL } from 'node:url'
import type { Reading, Value } from '../../src/devices/ports.ts'
import { LarderError, reasonOf } from '../../src/kernel/errors.ts'
import type { Codec, CodecEvents, CodecFactory } from './codec.ts'
import type { CustomSettings } from './settings.ts'
import { MAX_VALUES } from './values.ts'

/** Bytes of a question: a Modbus frame, with room. */
const MAX_QUESTION = 1024
/** Questions of one round. */
const MAX_QUESTIONS = 64

type MakeCodec = (options: CustomSettings['options'], events: CodecEvents) => Codec

/** Loads the module. Rejects with `DEVICE_FAILED` when it cannot be loaded or exports no function. */
export async function loadCustomCodec({ file, options }: Omit<CustomSettings, 'codec'>): Promise<CodecFactory> {
  let make: unknown
  try {
    make = ((await import(pathToFileURL(file).href)) as { default?: unknown }).default
  } catch (error) {
    throw failed(file, `cannot be loaded: ${reasonOf(error)}`, error)
  }
  if (typeof make !== 'function') throw failed(file, 'has no function as its default export')
  return events => guard(make as MakeCodec, { file, options }, events)
}

function failed(file: string, what: string, cause?: unknown): LarderError {
  return new LarderError('DEVICE_FAILED', `the codec ${file} ${what}`, {
    hint: 'docs/codecs.md says what it must be.',
    cause,
  })
}

/** Throws `DEVICE_FAILED` when the codec cannot be made. */
function guard(make: MakeCodec, { file, options }: Omit<CustomSettings, 'codec'>, events: CodecEvents): Codec {
  let codec: Codec
  try {
    codec = make(options, {
      reading: reading => give(reading),
      fault: reason => events.fault(String(reason)),
      answered: () => events.answered(),
    })
  } catch (error) {
    throw failed(file, `cannot be made: ${reasonOf(error)}`, error)
  }
  if (typeof codec?.push !== 'function') throw failed(file, 'makes nothing that has a function push')
  const { questions } = codec
  if (questions !== undefined && !areQuestions(questions)) {
    throw failed(file, `has questions that are not up to ${MAX_QUESTIONS} Buffers of up to ${MAX_QUESTION} bytes`)
  }

  function give(reading: unknown): void {
    const wrong = readingFault(reading)
    if (wrong === undefined) events.reading(reading as Reading)
    else events.fault(`the codec gave ${wrong}`)
  }

  function tryTo(what: () => void): void {
    try {
      what()
    } catch (error) {
      events.fault(`the codec failed: ${reasonOf(error)}`)
    }
  }

  return {
    push: chunk => tryTo(() => codec.push(chunk)),
    questions,
    asked: index => tryTo(() => codec.asked?.(index)),
    finished: () => tryTo(() => codec.finished?.()),
    quiet: () => tryTo(() => codec.quiet?.()),
    // What it throws is the refusal of the command.
    ...(codec.encode === undefined ? {} : { encode: (command: string) => bytesOf(codec.encode?.(command)) }),
    values: codec.values,
    get held() {
      return codec.held
    },
  }
}

function bytesOf(bytes: unknown): Buffer {
  if (!Buffer.isBuffer(bytes)) throw new Error('the codec made no Buffer of the command')
  return bytes
}

function areQuestions(questions: unknown): boolean {
  return (
    Array.isArray(questions) &&
    questions.length <= MAX_QUESTIONS &&
    questions.every(each => Buffer.isBuffer(each) && each.length > 0 && each.length <= MAX_QUESTION)
  )
}

/** What is wrong with a reading, if anything is. */
function readingFault(reading: unknown): string | undefined {
  if (typeof reading !== 'object' || reading === null || !('value' in reading)) return 'a reading without a value'
  const { value, at } = reading as { value: unknown; at?: unknown }
  if (at !== undefined && !Number.isFinite(at)) return 'a time that is no number of milliseconds'
  if (isValue(value)) return undefined
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return 'a value that is no number, text, boolean or map of them'
  const values = Object.entries(value)
  if (values.length === 0 || values.length > MAX_VALUES)
    return `${values.length} values, where 1 to ${MAX_VALUES} are taken`
  const [name] = values.find(([, each]) => !isValue(each)) ?? []
  return name === undefined ? undefined : `a value ${JSON.stringify(name)} that is no number, text or boolean`
}

function isValue(value: unknown): value is Value {
  return Number.isFinite(value) || typeof value === 'string' || typeof value === 'boolean'
}
