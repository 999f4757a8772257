/**
 * How a conformance case is written. A table is a list of rows; a row is a case, or the reason why a
 * statement cannot be seen from outside a server:
 *
 *   { clause: ['MQTT-3.1.0-2'], title: 'a second CONNECT ends the connection',
 *     steps: [connect('a'), send('a', { cmd: 'connect' }), closed('a')] }
 *   { clause: ['MQTT-3.1.2-23'], notObservable: 'it binds the client alone' }
 *
 * Steps are plain data, made by the functions below, and may be nested. The rules that hold for all:
 *
 * - Connections have names. `connect` opens one with a client identifier of its own (`~` and its name),
 *   sends CONNECT and wants a CONNACK with code 0; `open` is the bare stream. A name used again is a new connection.
 * - `~` in any text (topic, filter, client identifier, payload, pattern) stands for six letters and digits
 *   that are the case's own: '~/t', '+/~t', '~a'. All cases share one broker and run side by side, so every
 *   topic has a `~`, and a case with a bare '#' or a restart says `broker: 'own'`.
 * - What is sent is a packet as `mqtt-packet` names it (fields left out get defaults: QoS 0, clean, keep alive 0, the
 *   version of the table), or raw bytes: hex text, or `raw(0x82, …)` which counts the remaining length. A list is
 *   sent in one write (one frame on WebSocket).
 * - What is expected is a packet with only the fields that matter, or raw bytes as above for all of it. A field may be a function
 *   (`any`, `oneOf(…)` or your own), `undefined` for "absent", or `id('x')`: bound by the first packet that has
 *   it, the same value ever after, in `send` as well.
 * - In MQTT 5 every packet that comes is also held to what the standard lets a server send at all (`strict.ts`). A topic alias
 *   is looked up: `topic` is what it stands for, and `aliased` says that the name was left out. `userProperties`, which
 *   `mqtt-packet` puts in an object, are there as `pairs` too, in their order.
 * - Packets that came are kept apart by type, as the standard orders few across types: `expect` takes the oldest of the
 *   pattern's type and fails unless it fits. `sequence` takes them in the order they came, whatever their type.
 * - Nothing unexpected may come: a case ends with a round trip on every open connection, and fails when a
 *   packet was left that no step took. `nothing` does the same in the middle; `ignore` forgets what came.
 * - Nothing is acknowledged unless a step says so, but for connections opened with `acks: true` and for `publish`,
 *   which sends by a client of its own and waits until the broker has taken the message.
 */
import type { QoS } from 'mqtt-packet'

/** The protocol level in CONNECT: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0. */
export type Version = 3 | 4 | 5

/** A broker of the case's own. */
export interface OwnBroker {
  /** Lines of `larder.yaml`. */
  larder?: string
  /** The same for the reference, as lines of `mosquitto.conf`; `{dir}` is its folder. Without it such a case is left out there. */
  mosquitto?: readonly string[]
  /** False when it lets no client in that has neither a name nor a keep alive, so that there can be no bystander. */
  bystander?: false
  /** Files both may need, by name; `{dir}` in the configuration is their folder. */
  files?: Readonly<Record<string, string>>
}

export interface Case {
  clause: readonly string[]
  title: string
  /** A broker process of its own: for restarts, for bare wildcards, for a configuration. */
  broker?: 'own' | OwnBroker
  /** Why Mosquitto 2.0 does not do it. It is expected to fail there. */
  mosquittoDiffers?: string
  steps: readonly Steps[]
}

export interface NotObservable {
  clause: readonly string[]
  /** One line. */
  notObservable: string
}

export type Row = Case | NotObservable

/** A standard, with its chapters as tables. */
export interface Standard {
  /** 'MQTT 3.1.1' */
  name: string
  version: Version
  /** The file in this folder that lists its statements. */
  clauses: string
  chapters: Readonly<Record<string, readonly Row[]>>
}

/** Fields of a packet in the words of `mqtt-packet`, or what they should be. */
export interface Fields {
  [field: string]: unknown
}
export type Pattern = Fields | string | Raw

/** Raw bytes with a first byte and a counted remaining length. */
export interface Raw {
  raw: number
  parts: readonly Part[]
}
/** A byte, hex text, or text as its kind says. */
export type Part =
  | number
  | string
  | { text: string }
  | { utf8: string }
  | { pad: number; of: string }
  | { properties: readonly Part[] }

/** What a case has seen so far, for packets that must be computed from answers (enhanced authentication). */
export interface Seen {
  /** The last packet of this type that came on a connection. */
  last(on: string, cmd: string): Fields
}
type Sendable = Fields | string | Raw
export type Outgoing = Sendable | readonly Sendable[] | ((seen: Seen) => Sendable | readonly Sendable[])

export interface OpenOptions {
  via?: 'tcp' | 'ws'
  /** Offered in the WebSocket handshake; ['mqtt'] unless told otherwise. */
  subprotocols?: readonly string[]
  /** Answers PUBLISH, PUBREC and PUBREL by itself; PUBREL and PUBREC are then not seen by `expect`. */
  acks?: boolean
}

export interface SendOptions {
  /** Where the bytes are cut into several writes, or WebSocket frames. 'each': one byte at a time. */
  cuts?: readonly number[] | 'each'
  /** WebSocket frame type. */
  frame?: 'binary' | 'text'
}

export interface ClosedOptions {
  /** A packet that may, but need not, come before the end. */
  maybe?: Pattern
  /** Seconds since this connection last sent: not closed sooner. */
  after?: number
  /** Seconds since this connection last sent: not closed later. */
  before?: number
}

export type Step =
  | { do: 'open'; on: string; options: OpenOptions }
  | { do: 'connect'; on: string; packet: Fields; options: OpenOptions; connack: Pattern }
  | { do: 'send'; on: string; what: Outgoing; options: SendOptions }
  | { do: 'expect'; on: string; pattern: Pattern }
  | { do: 'sequence'; on: string; patterns: readonly Pattern[] }
  | { do: 'unordered'; on: string; patterns: readonly Pattern[] }
  | { do: 'among'; on: readonly string[]; patterns: readonly Pattern[] }
  | { do: 'nothing'; on: string }
  | { do: 'ignore'; on: string }
  | { do: 'closed'; on: string; options: ClosedOptions }
  | { do: 'subprotocol'; on: string; name: string }
  | { do: 'drop'; on: string }
  | { do: 'disconnect'; on: string; packet: Fields }
  | { do: 'publish'; message: Message }
  | { do: 'churn'; on: string; topic: string; count: number; busy: readonly string[] }
  | { do: 'settle' }
  | { do: 'elapse'; seconds: number }
  | { do: 'restart'; how: 'kill' | 'stop' }
/** Steps may be nested, so that a function can stand for several. */
export type Steps = Step | readonly Steps[]

export interface Message {
  topic: string
  payload?: string | Buffer
  qos?: QoS
  retain?: boolean
  properties?: Fields
}

/** Opens the stream without a word of MQTT. */
export const open = (on: string, options: OpenOptions = {}): Step => ({ do: 'open', on, options })

/** Opens a connection with CONNECT and wants it accepted, with a CONNACK that also fits `connack`. */
export const connect = (
  on: string,
  packet: Fields & OpenOptions = {},
  connack: Pattern = {},
): Extract<Step, { do: 'connect' }> => {
  const { via, subprotocols, acks, ...fields } = packet
  const options = {
    ...(via === undefined ? {} : { via }),
    ...(subprotocols === undefined ? {} : { subprotocols }),
    ...(acks === undefined ? {} : { acks }),
  }
  return { do: 'connect', on, packet: fields, options, connack }
}

export const send = (on: string, what: Outgoing, options: SendOptions = {}): Step => ({ do: 'send', on, what, options })

export const expect = (on: string, pattern: Pattern): Step => ({ do: 'expect', on, pattern })

/** In exactly this order, with nothing between. Use it before anything else of these was taken. */
export const sequence = (on: string, ...patterns: Pattern[]): Step => ({ do: 'sequence', on, patterns })

/** All of them, in any order. */
export const unordered = (on: string, ...patterns: Pattern[]): Step => ({ do: 'unordered', on, patterns })

/** All of them, each on just one of these connections, in any order. */
export const among = (on: readonly string[], ...patterns: Pattern[]): Step => ({ do: 'among', on, patterns })

/** Nothing was sent to `on` that no step took: proved by round trips of all who sent, then of `on` itself. */
export const nothing = (on: string): Step => ({ do: 'nothing', on })

/** Forgets what came so far, after the same round trips. */
export const ignore = (on: string): Step => ({ do: 'ignore', on })

/** The broker closes the connection. */
export const closed = (on: string, options: ClosedOptions = {}): Step => ({ do: 'closed', on, options })

/** The broker chose this WebSocket subprotocol. */
export const subprotocol = (on: string, name: string): Step => ({ do: 'subprotocol', on, name })

/** The line is cut without DISCONNECT; goes on when the broker has noticed. */
export const drop = (on: string): Step => ({ do: 'drop', on })

/** An orderly end: DISCONNECT, and the stream is closed by both. */
export const disconnect = (on: string, packet: Fields = {}): Step => ({ do: 'disconnect', on, packet })

/** Another client publishes, and the broker has taken the message when it goes on. */
export const publish = (message: Message): Step => ({ do: 'publish', message })

/** `count` messages of QoS 1 go to `on` and are acknowledged there, none of them with one of the identifiers in `busy`. */
export const churn = (on: string, topic: string, count: number, ...busy: string[]): Step => ({
  do: 'churn',
  on,
  topic,
  count,
  busy,
})

/** Round trips on all open connections: what was sent has been dealt with when it goes on. */
export const settle = (): Step => ({ do: 'settle' })

/** Lets time pass. Only for statements that are about time. */
export const elapse = (seconds: number): Step => ({ do: 'elapse', seconds })

/** The broker ends, by SIGKILL or SIGTERM, and starts again on the same data. All connections are gone. */
export const restart = (how: 'kill' | 'stop'): Step => ({ do: 'restart', how })

/** SUBSCRIBE and a SUBACK that grants what was asked for. A filter alone asks for QoS 0; an object may have options of MQTT 5. */
export const subscribe = (
  on: string,
  ...filters: (string | readonly [string, QoS] | (Fields & { topic: string; qos: QoS }))[]
): readonly Step[] => {
  const subscriptions = filters.map(filter => {
    if (typeof filter === 'string') return { topic: filter, qos: 0 }
    return 'topic' in filter ? filter : { topic: filter[0], qos: filter[1] }
  })
  const granted = subscriptions.map(subscription => subscription.qos)
  return [
    send(on, { cmd: 'subscribe', messageId: SUBSCRIBE_ID, subscriptions }),
    expect(on, { cmd: 'suback', messageId: SUBSCRIBE_ID, granted }),
  ]
}
/** Far from the small identifiers that cases write themselves. */
const SUBSCRIBE_ID = 60_000

/** Raw bytes of one packet: its first byte, and parts whose length is counted. */
export const raw = (first: number, ...parts: Part[]): Raw => ({ raw: first, parts })
/** A string as on the wire: two bytes of length, then UTF-8. */
export const utf8 = (content: string): Part => ({ utf8: content })
/** Properties of MQTT 5 behind their length. */
export const props = (...parts: Part[]): Part => ({ properties: parts })
/** UTF-8 without a length. */
export const text = (content: string): Part => ({ text: content })

/** An identifier that the broker chose, see the top. */
export class Bound {
  readonly name: string
  readonly unlike: readonly string[]
  constructor(name: string, unlike: readonly string[]) {
    this.name = name
    this.unlike = unlike
  }
}
/** Binds a value other than 0 at its first sight, and wants the same ever after; never that of one of `unlike`. */
export const id = (name: string, ...unlike: string[]): Bound => new Bound(name, unlike)

/** There, with whatever value. */
export const any = (value: unknown): boolean => value !== undefined && value !== null
export const oneOf =
  (...values: unknown[]) =>
  (value: unknown): boolean =>
    values.includes(value)
