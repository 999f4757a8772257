/**
 * What is in a store, for a person or a program to read: one object for each session, subscription, waiting message, will and
 * retained message, in that order. A page is in memory at a time; of the sessions, their numbers and names.
 */

import type { Message } from '../mqtt/message.ts'
import { forwardedProperties } from '../mqtt/publish-properties.ts'
import { filterMatches } from '../mqtt/topics.ts'
import { tried } from './checks.ts'
import { after, type Range, type Records } from './disk.ts'
import {
  bodyKey,
  familyRange,
  filterOfKey,
  incomingOfKey,
  indexOfKey,
  nameKey,
  nameOfKey,
  queueRange,
  sessionKey,
  sessionOfKey,
} from './keys.ts'
import { decodeBody, decodePosition, decodeReference, decodeRetained } from './records.ts'
import { decodeSession } from './sessions.ts'
import { decodeTime, FIRST_TIME } from './time.ts'

/** Records read at a time. */
const PAGE_RECORDS = 500

export interface DumpOptions {
  /** Only messages whose topics match this filter. */
  readonly topic?: string | undefined
  /** Only what belongs to this client. */
  readonly client?: string | undefined
  /** Objects after which it ends. */
  readonly limit?: number | undefined
}

/** One thing that is in the store; `type` says what. */
export interface Dumped {
  readonly type: 'session' | 'subscription' | 'waiting' | 'packet identifier' | 'will' | 'retained'
  readonly [field: string]: unknown
}

export async function* dump(records: Records, options: DumpOptions = {}): AsyncGenerator<Dumped> {
  const { limit = Number.POSITIVE_INFINITY } = options
  let count = 0
  if (limit < 1) return
  for await (const each of everything(records, options)) {
    yield each
    if (++count >= limit) return
  }
}

async function* everything(records: Records, { topic, client }: DumpOptions): AsyncGenerator<Dumped> {
  const now = (tried(await records.get(nameKey('m', 'time')), decodeTime) ?? FIRST_TIME).elapsed
  const isMeant = (name: string) => client === undefined || client === name
  const isOn = (name: string) => topic === undefined || filterMatches(topic, name)
  const sessions = new Map<number, string>()
  for await (const [key, value] of all(records, familyRange('s'))) {
    const session = tried(value, decodeSession)
    const name = nameOfKey(key)
    if (session === undefined || !isMeant(name)) continue
    sessions.set(session.session, name)
    if (topic === undefined) yield await sessionOf(records, name, session)
  }
  if (topic === undefined) {
    for await (const [key, value] of all(records, familyRange('u'))) {
      const name = sessions.get(sessionOfKey(key))
      const granted = tried(value, bytes => JSON.parse(bytes.toString()) as object)
      if (name !== undefined && granted !== undefined)
        yield { type: 'subscription', client: name, filter: filterOfKey(key), ...granted }
    }
    for await (const [key] of all(records, familyRange('i'))) {
      const { clientId, packetId } = incomingOfKey(key)
      if (isMeant(clientId)) yield { type: 'packet identifier', client: clientId, packet_id: packetId }
    }
  }
  for (const [session, name] of sessions) yield* waiting(records, { session, client: name, now, isOn })
  for await (const [key, value] of all(records, familyRange('w'))) {
    const will = tried(value, bytes => JSON.parse(bytes.toString()) as Record<string, unknown>)
    const name = nameOfKey(key)
    if (will === undefined || !isMeant(name) || !isOn(`${will.topic}`)) continue
    const { qos, retain, willDelayInterval: delay } = will
    const payload = payloadOf(Buffer.from(`${will.payload}`, 'base64'))
    yield { type: 'will', client: name, topic: will.topic, qos, retain, ...(delay ? { delay } : {}), ...payload }
  }
  if (client !== undefined) return
  for await (const [, value] of all(records, familyRange('r'))) {
    const retained = tried(value, decodeRetained)
    if (retained === undefined || !isOn(retained.message.topic)) continue
    yield { type: 'retained', ...messageOf(retained.message, retained.acceptedAt, now) }
  }
}

async function sessionOf(
  records: Records,
  client: string,
  { session, expiry }: ReturnType<typeof decodeSession>,
): Promise<Dumped> {
  const position = tried(await records.get(sessionKey('p', session)), decodePosition)
  const { count: messages = 0, bytes = 0 } = position ?? {}
  return { type: 'session', client, expires_after: expiry.interval ?? null, messages, bytes }
}

/** The queue of a session, in the order in which it will be delivered. */
async function* waiting(
  records: Records,
  { session, client, now, isOn }: { session: number; client: string; now: number; isOn: (topic: string) => boolean },
): AsyncGenerator<Dumped> {
  let place = 0
  for await (const page of pages(records, queueRange(session))) {
    const references = page.flatMap(([key, value]) => {
      const reference = tried(value, decodeReference)
      return value === undefined || reference === undefined ? [] : [{ index: indexOfKey(key), value, reference }]
    })
    const apart = references.filter(({ reference }) => reference.bodyAt === undefined)
    const bodies = await records.getMany(apart.map(({ reference }) => bodyKey(reference.message)))
    for (const { index, value, reference } of references) {
      const { bodyAt } = reference
      const body = tried(bodyAt === undefined ? bodies.shift() : value, bytes => decodeBody(bytes, bodyAt))
      if (body === undefined) continue
      place++
      if (!isOn(body.message.topic)) continue
      const { qos, retain, released } = reference
      const told = { ...messageOf(body.message, body.acceptedAt, now), qos, retain }
      const state = released === undefined ? {} : { released: true }
      yield { type: 'waiting', client, place, index, ...told, ...state }
    }
  }
}

function messageOf(message: Message, acceptedAt: number, now: number): Record<string, unknown> {
  const { topic, qos, retain, payload, forwarded, expiresAt, clientId, userName } = message
  const properties = forwarded === undefined ? undefined : tried(forwarded, forwardedProperties)
  return {
    topic,
    qos,
    retain,
    age: seconds(now - acceptedAt),
    ...(expiresAt === undefined ? {} : { expires_in: seconds(expiresAt - now) }),
    ...(clientId === undefined ? {} : { publisher: clientId }),
    ...(userName === undefined ? {} : { user: userName }),
    ...(properties === undefined ? {} : { properties }),
    ...payloadOf(payload),
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true })

/** As text where it is text, else in base64. */
function payloadOf(payload: Buffer): { payload: string } | { payload_base64: string } {
  // Aedes' contract lets a payload be a string.
  const bytes = Buffer.from(payload)
  try {
    const text = UTF8.decode(bytes)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a payload with these is no text
    if (!/[\u0000-\u0008\u000e-\u001f\u007f-\u009f]/.test(text)) return { payload: text }
  } catch {}
  return { payload_base64: bytes.toString('base64') }
}

const seconds = (milliseconds: number) => Math.max(0, Math.round(milliseconds / 100) / 10)

async function* all(records: Records, range: Range): AsyncGenerator<[Buffer, Buffer | undefined]> {
  for await (const page of pages(records, range)) yield* page
}

async function* pages(records: Records, range: Range): AsyncGenerator<[Buffer, Buffer | undefined][]> {
  for (let { gte } = range; ; ) {
    const page = await records.page({ gte, lt: range.lt }, PAGE_RECORDS)
    const last = page.at(-1)
    if (last === undefined) return
    yield page
    gte = after(last[0])
  }
}
