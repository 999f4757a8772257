/**
 * What `larder sub` prints of a message: `mosquitto_sub`'s output byte for byte, its formats (-F) with all their quirks
 * included (https://mosquitto.org/man/mosquitto_sub-1.html, "Output format"). Text is a string of bytes
 * ("latin1"): widths count bytes, as in C, and a payload that is no UTF-8 goes through as it came.
 */

import type { ReceivedMessage } from '../../mqtt/client-packets.ts'
import type { Properties } from '../../mqtt/properties.ts'
import { quoted, rewritten } from './json.ts'
import { propertyWord } from './properties.ts'

/** Writes dates in the manner of strftime(3). */
export type Strftime = (format: string, date: Date) => string

export interface PrintOptions {
  format: Format | undefined
  verbose: boolean
  /** False for -N. */
  endOfLine: boolean
  pretty: boolean
}

/** A message and when it came. */
interface Occasion {
  message: ReceivedMessage
  date: Date
  strftime: Strftime
  pretty: boolean
  /** Told what could not be printed, as a line without its break. */
  complain: (line: string) => void
}

interface Style {
  left: boolean
  zeros: boolean
  /** 0 for none. */
  width: number
  precision: number | undefined
}

/** A compiled -F: its pieces, each giving its bytes. */
export type Format = readonly ((occasion: Occasion) => string)[]

const NANOSECONDS = 1_000_000

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\',
  '0': '\0',
  a: '\x07',
  e: '\x1b',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
}

const PARAMETERS: Readonly<Record<string, (style: Style, occasion: Occasion) => string>> = {
  '%': () => '%',
  A: (style, { message }) => integer(message.properties?.topicAlias, style),
  C: (style, { message }) => text(message.properties?.contentType, style) ?? ' '.repeat(style.width),
  D: (_, { message }) => message.properties?.correlationData?.toString('latin1') ?? '',
  E: (style, { message }) => integer(message.properties?.messageExpiryInterval, style),
  F: (style, { message }) => integer(message.properties?.payloadFormatIndicator, style),
  I: (style, { date, strftime }) => text(strftime('%FT%T%z', date), style) ?? '',
  j: (_, occasion) => json(occasion, quotedPayload(occasion.message)) ?? '',
  J(_, occasion) {
    const { message, complain } = occasion
    const rendered = json(occasion, message.payload.length === 0 ? 'null' : message.payload.toString('latin1'))
    if (rendered === undefined) complain(`Error: Message payload is not valid JSON on topic ${message.topic}.\n`)
    return rendered ?? ''
  },
  l: (style, { message }) => integer(message.payload.length, style),
  m: (style, { message }) => integer(message.packetId, style),
  P: (_, { message }) => (message.properties?.userProperties ?? []).map(pair => bytesOf(pair.join(':'))).join(' '),
  p: (style, { message }) => payload(message, style, undefined),
  q: (_, { message }) => `${message.qos}`,
  R: (style, { message }) => text(message.properties?.responseTopic, style) ?? '',
  r: (_, { message }) => (message.retain ? '1' : '0'),
  S: (style, { message }) => integer(message.properties?.subscriptionIdentifiers?.[0], style),
  t: (style, { message }) => text(message.topic, style) ?? '',
  U: (_, { date }) => `${Math.floor(date.getTime() / 1000)}.${nanoseconds(date)}`,
  x: (style, { message }) => payload(message, style, 'lower'),
  X: (style, { message }) => payload(message, style, 'upper'),
}

const INCOMPLETE = 'Error: Incomplete format specifier.\n'

/** The format that a text describes, or what is wrong with it, as Mosquitto says it. */
export function compileFormat(source: string): Format | string {
  const pieces: Format[number][] = []
  for (let at = 0; at < source.length; ) {
    const sign = source[at]
    const rest = source.slice(at)
    if (sign === '%') {
      const [whole, left, zeros, width, precision, letter = ''] = /^%(-?)(0?)(\d*)(?:\.(\d*))?([^\d.])/.exec(rest) ?? []
      if (whole === undefined) return INCOMPLETE
      const parameter = Object.hasOwn(PARAMETERS, letter) ? PARAMETERS[letter] : undefined
      if (parameter === undefined) return `Error: Invalid format specifier '${letter}'.\n`
      const style = {
        left: left === '-',
        zeros: zeros === '0',
        width: Number(width),
        precision: precision === undefined ? undefined : Number(precision),
      }
      pieces.push(occasion => parameter(style, occasion))
      at += whole.length
    } else if (sign === '@') {
      const field = source[at + 1]
      if (field === undefined) return INCOMPLETE
      pieces.push(({ date, strftime }) =>
        field === '@' ? '@' : field === 'N' ? nanoseconds(date) : bytesOf(strftime(`%${field}`, date)),
      )
      at += 2
    } else if (sign === '\\') {
      const letter = source[at + 1]
      if (letter === undefined) return 'Error: Incomplete escape specifier.\n'
      const meaning = ESCAPES[letter]
      if (meaning === undefined) return `Error: Invalid escape specifier '${letter}'.\n`
      pieces.push(() => meaning)
      at += 2
    } else {
      const plain = /^[^%@\\]+/.exec(rest)?.[0] ?? ''
      const bytes = bytesOf(plain)
      pieces.push(() => bytes)
      at += plain.length
    }
  }
  return pieces
}

/** What is printed of a message; empty for nothing. */
export function printed(
  message: ReceivedMessage,
  options: PrintOptions,
  { date, strftime, complain }: Pick<Occasion, 'date' | 'strftime' | 'complain'>,
): string {
  const end = options.endOfLine ? '\n' : ''
  if (options.format !== undefined) {
    const occasion = { message, date, strftime, pretty: options.pretty, complain }
    return options.format.map(piece => piece(occasion)).join('') + end
  }
  const bytes = message.payload.toString('latin1')
  if (bytes !== '') return `${options.verbose ? `${bytesOf(message.topic)} ` : ''}${bytes}${end}`
  return options.verbose && options.endOfLine ? `${bytesOf(message.topic)} (null)\n` : ''
}

function json({ message, date, strftime, pretty }: Occasion, payload: string): string | undefined {
  const { qos, retain, packetId, properties } = message
  const time = strftime(`%Y-%m-%dT%H:%M:%S.${nanoseconds(date).slice(0, 6)}Z%z`, date)
  const members = [
    `"tst":"${time}"`,
    `"topic":${quoted(bytesOf(message.topic))}`,
    `"qos":${qos}`,
    `"retain":${retain ? 1 : 0}`,
    `"payloadlen":${message.payload.length}`,
    ...(qos > 0 ? [`"mid":${packetId}`] : []),
    ...(properties === undefined ? [] : [`"properties":${propertiesJson(properties)}`]),
  ]
  // By itself first: what is no JSON value must not become one by what stands around it.
  const value = rewritten(payload, false)
  return value === undefined ? undefined : rewritten(`{${[...members, `"payload":${value}`].join(',')}}`, pretty)
}

function propertiesJson(properties: Properties): string {
  const members = Object.entries(properties).map(([name, value]) => {
    if (name === 'userProperties') {
      const pairs = (value as [string, string][]).map(pair => pair.map(each => quoted(bytesOf(each))).join(':'))
      return `"user-properties":{${pairs.join(',')}}`
    }
    if (Buffer.isBuffer(value)) return `"${propertyWord(name)}":${quoted(value.toString('latin1'))}`
    if (Array.isArray(value)) return value.map(each => `"${propertyWord(name)}":${each}`).join(',')
    return `"${propertyWord(name)}":${typeof value === 'string' ? quoted(bytesOf(value)) : Number(value)}`
  })
  return `{${members.join(',')}}`
}

function quotedPayload({ payload }: ReceivedMessage): string {
  return payload.length === 0 ? 'null' : quoted(payload.toString('latin1'))
}

/** A payload is cut to the width, in bytes, or in digits when it is printed as hexadecimal numbers. */
function payload(message: ReceivedMessage, { left, zeros, width }: Style, hex: 'lower' | 'upper' | undefined): string {
  let length = width > 0 ? Math.min(message.payload.length, width) : message.payload.length
  if (hex !== undefined && width > 0) length = Math.floor(length / 2)
  const padding = width - (hex === undefined || width === 0 ? length : length * 2)
  const bytes = message.payload.subarray(0, length)
  const digits = hex === undefined ? bytes.toString('latin1') : bytes.toString('hex')
  const shown = hex === 'upper' ? digits.toUpperCase() : digits
  // Left without a width, Mosquitto adds as many blanks as the payload has bytes.
  if (left) return shown + ' '.repeat(Math.abs(padding))
  return (zeros ? '0' : ' ').repeat(Math.max(0, padding)) + shown
}

/** An absent number is as many blanks, or zeros, as the field is wide. */
function integer(value: number | undefined, { left, zeros, width }: Style): string {
  if (value === undefined) return (zeros ? '0' : ' ').repeat(width)
  // Mosquitto prints the 32 bits as a number with a sign.
  const digits = `${value | 0}`
  return left ? digits.padEnd(width) : digits.padStart(width, zeros ? '0' : ' ')
}

function text(value: string | undefined, { left, width, precision }: Style): string | undefined {
  if (value === undefined) return undefined
  const bytes = bytesOf(value).slice(0, precision)
  return left ? bytes.padEnd(width) : bytes.padStart(width)
}

function nanoseconds(date: Date): string {
  return `${date.getMilliseconds() * NANOSECONDS}`.padStart(9, '0')
}

function bytesOf(text: string): string {
  return Buffer.from(text).toString('latin1')
}
