/**
 * Properties of MQTT 5 on the command line, `-D COMMAND NAME VALUE`: the standard's names in small letters and with
 * hyphens. Which property may stand where is said by the table of the codec.
 */
import { PacketType } from '../../mqtt/packets.ts'
import { PROPERTIES, type Properties, type PropertyDefinition, WILL } from '../../mqtt/property-table.ts'

/** The packets that properties can be given for. */
export type PropertyCommand = 'connect' | 'publish' | 'subscribe' | 'unsubscribe' | 'disconnect' | 'will'

export type CommandProperties = Readonly<Record<PropertyCommand, Properties>>

const PLACES: Readonly<Record<string, number>> = {
  connect: PacketType.CONNECT,
  publish: PacketType.PUBLISH,
  puback: PacketType.PUBACK,
  pubrec: PacketType.PUBREC,
  pubrel: PacketType.PUBREL,
  pubcomp: PacketType.PUBCOMP,
  subscribe: PacketType.SUBSCRIBE,
  unsubscribe: PacketType.UNSUBSCRIBE,
  disconnect: PacketType.DISCONNECT,
  auth: PacketType.AUTH,
  will: WILL,
}

/** Largest value of each type that is a number. */
const RANGES: Readonly<Record<string, number>> = {
  bit: 0xff,
  boolean: 0xff,
  'two byte integer': 0xffff,
  'four byte integer': 0xffff_ffff,
  'variable byte integer': 0xffff_ffff,
}

/** Bytes of a string or of binary data (MQTT 5 §1.5.4). */
const MAX_BYTES = 65_535

export function noProperties(): Record<PropertyCommand, Properties> {
  return { connect: {}, publish: {}, subscribe: {}, unsubscribe: {}, disconnect: {}, will: {} }
}

/** The name of a property on the command line and in JSON: `content-type` for `contentType`. */
export function propertyWord(name: string): string {
  if (name === 'userProperties') return 'user-property'
  if (name === 'subscriptionIdentifiers') return 'subscription-identifier'
  if (name === 'maximumQoS') return 'maximum-qos'
  return name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
}

/**
 * Takes the words behind a `-D` into `properties`. Returns how many they were, or what is wrong with them, as
 * Mosquitto says it.
 */
export function takeProperty(
  words: readonly string[],
  properties: Record<PropertyCommand, Properties>,
): number | string {
  const [command, word, ...values] = words
  const [value] = values
  if (command === undefined || word === undefined || value === undefined) return tooFew
  const place = Object.hasOwn(PLACES, command.toLowerCase()) ? PLACES[command.toLowerCase()] : undefined
  if (place === undefined) return 'Error: Invalid command given in --property argument.\n\n'
  const definition = PROPERTIES.find(({ name }) => propertyWord(name) === word)
  if (definition === undefined) return 'Error: Invalid property name given in --property argument.\n\n'
  if ((definition.places & (1 << place)) === 0)
    return `Error: ${word} property not allowed for ${command} in --property argument.\n\n`
  const target = properties[command.toLowerCase() as PropertyCommand] as Properties | undefined
  if (target === undefined) return `Error: ${word} property not supported for ${command} in --property argument.\n\n`
  if (definition.name === 'userProperties') {
    const [name = '', second] = values
    if (second === undefined) return tooFew
    if (Buffer.byteLength(name) > MAX_BYTES || Buffer.byteLength(second) > MAX_BYTES) return tooLong(word)
    target.userProperties = [...(target.userProperties ?? []), [name, second]]
    return 4
  }
  const read = propertyValue(definition, value, word)
  if (typeof read === 'string') return read
  Object.assign(target, { [definition.name]: read.value })
  return 3
}

const tooFew = 'Error: --property argument given but not enough arguments specified.\n\n'
const tooLong = (word: string) => `Error: Property value too long for property ${word}.\n\n`

function propertyValue({ type, name }: PropertyDefinition, text: string, word: string): { value: unknown } | string {
  if (type === 'string') return Buffer.byteLength(text) > MAX_BYTES ? tooLong(word) : { value: text }
  if (type === 'binary data') {
    const value = Buffer.from(text)
    return value.length > MAX_BYTES ? tooLong(word) : { value }
  }
  const number = Number.parseInt(text, 10) || 0
  if (number < 0 || number > (RANGES[type] ?? 0))
    return `Error: Property value (${number}) out of range for property ${word}.\n\n`
  return { value: name === 'subscriptionIdentifiers' ? [number] : number }
}

/** The first command whose properties have a value that the standard forbids, such as a receive maximum of 0. */
export function forbiddenValue(properties: CommandProperties): PropertyCommand | undefined {
  return (Object.keys(properties) as PropertyCommand[]).find(command =>
    PROPERTIES.some(({ name, minimum, type }) => {
      const value = properties[command][name]
      const number = Array.isArray(value) && name === 'subscriptionIdentifiers' ? value[0] : value
      if (typeof number !== 'number') return false
      return number < minimum || ((type === 'bit' || type === 'boolean') && number > 1)
    }),
  )
}
