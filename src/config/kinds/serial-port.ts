/** The part of `devices[].serial` that is about the port: which one it is, how it is asked, and what is written to it. */
import * as v from 'valibot'
import { list, map, type Report } from '../structure.ts'
import { topicFilter } from '../topics.ts'
import { choice, duration, Refusal, type Schema, text, value, whole } from '../values.ts'
import { type TemplatePart, template } from './template.ts'

const MINUTE = 60_000
const DAY = 86_400_000
/** Questions of one round; every one of them may wait for its answer. */
const MAX_QUESTIONS = 16
/** Bytes of a question. */
const MAX_QUESTION = 256
/** Codecs that read lines, and so answers to a question that the owner writes. */
const LINE_CODECS: readonly unknown[] = ['json', 'pairs', 'csv', 'number', 'regex']

/** What a USB adapter says of itself. */
export interface UsbConfig {
  /** Four hexadecimal digits, lower case. */
  vendor: string
  product: string
  serial?: string
  /** Of an adapter with several ports. */
  interface?: number
}

/** Messages that are written to the port. */
export interface SerialSinkConfig {
  /** Topic filter. */
  topic: string
  template: TemplatePart[]
}

export interface SerialPortConfig {
  /** Absolute; absent when `usb` says which port it is. */
  path?: string
  usb?: UsbConfig
  dataBits: 7 | 8
  parity: 'none' | 'even' | 'odd'
  stopBits: 1 | 2
  /** ms without a byte after which the port counts as unplugged and is reopened; undefined never does. */
  silence: number | undefined
  /** Ends each line that is written to the device. */
  writeLineEnding: '\n' | '\r\n' | '\r' | ''
  /** ms between two rounds of questions, for devices that have to be asked. */
  every: number
  /** ms for an answer. */
  timeout: number
  /** Times that a question without an answer is asked again. */
  retries: number
  /** ms of quiet before anything is sent; undefined: what the protocol asks for. */
  gap: number | undefined
  /** Questions with their line endings; undefined: those of the codec, if it has any. */
  ask: string[] | undefined
  /** What a command is written as; undefined: as the codec has it, or with a line ending. */
  template: TemplatePart[] | undefined
  write: SerialSinkConfig[]
}

/** The keys, for the map of a serial device. */
export const portEntries = {
  path: v.exactOptional(text({ example: '/dev/ttyUSB0' })),
  usb: v.exactOptional(usb()),
  data_bits: v.optional(choice([8, 7]), 8),
  parity: v.optional(choice(['none', 'even', 'odd']), 'none'),
  stop_bits: v.optional(choice([1, 2]), 1),
  silence: v.optional(duration({ min: 100, max: DAY, example: '5m' })),
  write_line_ending: v.optional(choice(['\n', '\r\n', '\r', '']), '\n'),
  every: v.optional(duration({ min: 50, max: DAY, example: '30s' }), '10s'),
  timeout: v.optional(duration({ min: 10, max: MINUTE, example: '500ms' }), '1s'),
  retries: v.optional(whole({ min: 0, max: 10, example: 2 }), 2),
  gap: v.optional(duration({ min: 0, max: MINUTE, example: '50ms' })),
  ask: v.optional(questions()),
  template: v.optional(template('"T{payload}\\n"')),
  write: v.optional(list(sink(), { example: 'topic: /Home/Kitchen/Display/+' }), []),
}

/** What is wrong between them. */
export function checkPort(written: Record<string, unknown>, report: Report): void {
  if ('path' in written && 'usb' in written)
    report('the port has a path already; leave one of the two out', ['usb'], 'key')
  if (!('path' in written) && !('usb' in written)) {
    report('needs the port: path: /dev/ttyUSB0, or usb: { vendor: "0403", product: "6001" }', ['path'], 'missing')
  }
  const { ask, codec = 'json' } = written
  if (ask !== undefined && !LINE_CODECS.includes(codec)) {
    report(
      `belongs to codecs that read lines (${LINE_CODECS.join(', ')}); codec: ${codec} knows what to ask`,
      ['ask'],
      'key',
    )
  }
}

interface Unfinished {
  silence?: number | undefined
  gap?: number | undefined
  ask?: string[] | undefined
  template?: TemplatePart[] | undefined
  writeLineEnding: string
}

/** Every key is there, though it be undefined, and questions have their line endings. */
export function completePort<T extends Unfinished>({ silence, gap, ask, template, ...rest }: T) {
  return { ...rest, silence, gap, ask: ask?.map(question => question + rest.writeLineEnding), template }
}

function usb(): Schema<UsbConfig> {
  const entries = {
    vendor: hexadecimal('"0403"'),
    product: hexadecimal('"6001"'),
    serial: v.exactOptional(text({ example: 'A5069RR4' })),
    interface: v.exactOptional(whole({ min: 0, max: 255, example: 0 })),
  }
  return map(entries, { example: 'vendor: "0403"' })
}

function hexadecimal(example: string): Schema<string> {
  return value(example, input => {
    if (typeof input === 'string' && /^[\da-f]{4}$/i.test(input)) return input.toLowerCase()
    // YAML reads 6001 as a number and 0403 as an octal one or as 403: what was meant is not known any more.
    const isNumber = typeof input === 'number'
    return new Refusal(
      `must be four hexadecimal digits${isNumber ? ' in quotes' : ''}, such as ${example}, as lsusb shows them`,
    )
  })
}

/** One question or several. */
function questions(): Schema<string[]> {
  const question = text({ example: '"T?"', max: MAX_QUESTION })
  const several = v.pipe(
    list(question, { example: '"T?"', min: 1 }),
    v.maxLength(MAX_QUESTIONS, `has more than ${MAX_QUESTIONS} questions`),
  )
  const schema = v.lazy(input =>
    Array.isArray(input)
      ? several
      : v.pipe(
          question,
          v.transform(text => [text]),
        ),
  )
  return v.pipe(schema, v.metadata({ example: '"T?"' })) as Schema<string[]>
}

function sink(): Schema<SerialSinkConfig> {
  const entries = { topic: topicFilter('/Home/Kitchen/Display/+'), template: template('"T{payload}\\n"') }
  return map(entries, { example: 'topic: /Home/Kitchen/Display/+' })
}
