/**
 * What a message is known by on the links between gateways: the user property `larder-id` of MQTT 5. It is
 *
 *   ORIGIN.NUMBER   for a message that was published at a gateway by a client of its own. ORIGIN is drawn anew at each
 *                   start of that gateway: a card that was copied into a second machine tells nobody's messages twice
 *   ORIGIN.NUMBER/TOPIC   for one that a link has renamed: TOPIC is its name where it was published
 *   *GATEWAYS       for one that came over a link without an identity, and so has none: how many gateways passed it on
 *
 * Within a gateway it stands before all other properties of a message, where it is found, and taken away for clients
 * that are no link, at the cost of a comparison.
 */
import { createHash, randomBytes } from 'node:crypto'
import { encodePropertyList, type Properties } from './properties.ts'
import { PropertyId } from './property-table.ts'
import { forwardedProperties } from './publish-properties.ts'

/** The user property of a message. */
const NAME = 'larder-id'
/** Bytes of an origin: two gateways never draw the same. */
const ORIGIN_BYTES = 8
/** Bytes of a value (MQTT 5 §1.5.4). A topic name may be as long by itself: where it does not fit, it is left out. */
const MAX_VALUE = 65_535

const PREFIX = Buffer.from([PropertyId.USER_PROPERTY, 0, NAME.length, ...Buffer.from(NAME)])
const IDENTITY = /^([\w-]{11})\.([0-9a-z]{1,10})(?:\/(.*))?$/s
const UNKNOWN = /^\*(\d{1,3})$/

export interface Identity {
  readonly origin: string
  readonly number: number
}

/** What a message says of itself. */
export interface Mark {
  readonly identity: Identity | undefined
  /** Its name where it was published, when it has an identity and another name now. */
  readonly topic?: string | undefined
  /** Gateways that it has come through without an identity. */
  readonly gateways: number
}

const NO_MARK: Mark = { identity: undefined, gateways: 0 }

export function newOrigin(): string {
  return randomBytes(ORIGIN_BYTES).toString('base64url')
}

/** The mark among properties that are passed on, wherever it stands. */
export function markOf(forwarded: Buffer | undefined): Mark {
  if (forwarded === undefined || !forwarded.includes(NAME)) return NO_MARK
  const value = forwardedProperties(forwarded).userProperties?.find(([name]) => name === NAME)?.[1] ?? ''
  const [, origin, number, topic] = IDENTITY.exec(value) ?? []
  if (origin !== undefined) {
    return { identity: { origin, number: Number.parseInt(number as string, 36) }, topic, gateways: 0 }
  }
  return { identity: undefined, gateways: Number(UNKNOWN.exec(value)?.[1] ?? 0) }
}

/** The properties with this mark before them, and without any other. */
export function marked(forwarded: Buffer | undefined, mark: Mark): Buffer {
  const value = Buffer.from(textOf(mark))
  const others = withoutMarks(forwarded)
  const length = PREFIX.length + 2 + value.length
  const bytes = Buffer.allocUnsafe(length + others.length)
  PREFIX.copy(bytes)
  bytes.writeUInt16BE(value.length, PREFIX.length)
  value.copy(bytes, PREFIX.length + 2)
  bytes.set(others, length)
  return bytes
}

/** True when `marked` has made them. */
export function isMarked(forwarded: Buffer): boolean {
  // Most properties are others: one look tells.
  return forwarded[2] === NAME.length && forwarded.length > PREFIX.length && isPrefixed(forwarded)
}

/** The properties as their publisher gave them, for a client that is no link. */
export function unmarked(forwarded: Buffer | undefined): Buffer | undefined {
  if (forwarded === undefined || !isMarked(forwarded)) return forwarded
  const length = PREFIX.length + 2 + forwarded.readUInt16BE(PREFIX.length)
  return length === forwarded.length ? undefined : forwarded.subarray(length)
}

/** The properties of a message that goes on under another name than `topic`, which it had here. */
export function renamed(properties: Properties, topic: string): Properties {
  const { userProperties } = properties
  if (userProperties === undefined) return properties
  const named = userProperties.map(([name, value]): [string, string] => {
    const isNameless = name === NAME && IDENTITY.test(value) && !value.includes('/')
    return isNameless ? [name, withName(value, topic)] : [name, value]
  })
  return { ...properties, userProperties: named }
}

/** Characters of a renaming that stands as it is; longer ones are told apart by their digests. */
const MAX_RENAMING = 100

/**
 * What renaming has made of a name: the beginnings in which the two differ; empty when they are the same. It is
 * remembered, and who sends a message says what it was called: so it is never longer than `MAX_RENAMING`.
 */
export function renamingOf(topic: string, renamedTo: string): string {
  const [from, to] = [topic.split('/'), renamedTo.split('/')]
  while (from.length > 0 && to.length > 0 && from.at(-1) === to.at(-1)) {
    from.pop()
    to.pop()
  }
  if (from.length + to.length === 0) return ''
  const renaming = `${from.join('/')}>${to.join('/')}`
  return renaming.length <= MAX_RENAMING ? renaming : createHash('sha256').update(renaming).digest('base64')
}

function textOf({ identity, topic, gateways }: Mark): string {
  if (identity === undefined) return `*${gateways}`
  const value = `${identity.origin}.${identity.number.toString(36)}`
  return topic === undefined ? value : withName(value, topic)
}

function withName(value: string, topic: string): string {
  const named = `${value}/${topic}`
  return Buffer.byteLength(named) > MAX_VALUE ? value : named
}

function isPrefixed(forwarded: Buffer): boolean {
  return PREFIX.compare(forwarded, 0, PREFIX.length) === 0
}

function withoutMarks(forwarded: Buffer | undefined): Buffer {
  if (forwarded === undefined) return Buffer.alloc(0)
  if (!forwarded.includes(NAME)) return forwarded
  const properties = forwardedProperties(forwarded)
  const userProperties = properties.userProperties?.filter(([name]) => name !== NAME)
  return encodePropertyList({ ...properties, userProperties })
}
