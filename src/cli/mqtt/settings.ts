/**
 * What a command line of `larder pub`, `sub` or `rr` asks for. It is read as Mosquitto's programs read theirs: one flag after
 * the other (`flags.ts`), a value behind its flag even if it begins with a dash, and the first fault ends it; then what
 * only the whole shows.
 */
import type { QoS } from '../../mqtt/packets.ts'
import { FLAGS, NO_EXPIRY } from './flags.ts'
import type { Format } from './format.ts'
import { type CommandProperties, forbiddenValue, noProperties, takeProperty } from './properties.ts'
import { ClientFault } from './texts.ts'

export type Program = 'pub' | 'sub' | 'rr'

export interface TlsSettings {
  caFile?: string
  caPath?: string
  certFile?: string
  keyFile?: string
  ciphers?: string
  version?: string
  alpn?: string
  insecure: boolean
  useSystemCertificates: boolean
  psk?: { key: string; identity: string }
}

/** What the payload is; `lines` and `input` read stdin. */
export type Payload =
  | { is: 'text'; text: string }
  | { is: 'file'; file: string }
  | { is: 'nothing' }
  | { is: 'lines' }
  | { is: 'input' }

export interface ClientSettings {
  host: string
  port: number | undefined
  unix: string | undefined
  bindAddress: string | undefined
  /** A SOCKS5 proxy, which looks names up; without a login when `username` is empty. */
  proxy: { host: string; port: number; username: string; password: string } | undefined
  /** The server of the host is asked of DNS. */
  srv: boolean
  webSocket: boolean
  tls: TlsSettings
  username: string | undefined
  password: string | undefined
  /** Undefined: the server chooses. */
  clientId: string | undefined
  version: 3 | 4 | 5
  clean: boolean
  /** Seconds. */
  keepalive: number
  will: { topic: string; payload: Buffer; qos: QoS; retain: boolean } | undefined
  properties: CommandProperties
  qos: QoS
  debug: boolean
  quiet: boolean
  /** Of pub: messages on the way without an acknowledgement. */
  maxInflight: number
  payload: Payload | undefined
  retain: boolean
  repeat: number
  /** Seconds. */
  repeatDelay: number
  /** Of rr: where the answer is to come. */
  responseTopic: string | undefined
  /** Of pub and rr: the last that was given. Of sub: all. */
  topics: string[]
  unsubscribe: string[]
  filterOut: string[]
  /** Messages after which to end. */
  count: number | undefined
  /** Seconds after which to end. */
  timeout: number | undefined
  exitAfterSubscribing: boolean
  withoutRetained: boolean
  retainedOnly: boolean
  removeRetained: boolean
  retainAsPublished: boolean
  /** Share of the messages to print, 0 to 1. */
  chance: number
  watch: boolean
  format: Format | undefined
  verbose: boolean
  endOfLine: boolean
  pretty: boolean
}

/** What is read, before the parts that belong together are looked at. */
export interface Draft extends ClientSettings {
  idPrefix: string | undefined
  sessionExpiry: number | undefined
  psk: string | undefined
  pskIdentity: string | undefined
  willTopic: string | undefined
  willPayload: string | undefined
  willQos: QoS
  willRetain: boolean
  properties: ReturnType<typeof noProperties>
}

/**
 * Reads a command line, behind lines of words that were there before it. Throws ClientFault with what Mosquitto says;
 * 'help' and 'version' when asked for them.
 */
export function readSettings(
  program: Program,
  words: readonly string[],
  pid: number,
  before: readonly (readonly string[])[] = [],
): ClientSettings | 'help' | 'version' {
  const draft = emptyDraft(program)
  for (const line of [...before, words]) {
    const asked = readWords(draft, program, line)
    if (asked !== undefined) return asked
  }
  const fault = combined(draft, program, pid)
  if (fault !== undefined) throw misused(program, fault)
  if (draft.withoutRetained && draft.retainedOnly)
    throw new ClientFault("\nError: Combining '-R' and '--retained-only' makes no sense.\n")
  if (draft.version !== 5 && draft.password !== undefined && draft.username === undefined)
    throw new ClientFault('Error: Problem setting username and/or password.\n')
  return draft
}

function readWords(draft: Draft, program: Program, words: readonly string[]): 'help' | 'version' | undefined {
  for (let at = 0; at < words.length; ) {
    const word = words[at] as string
    if (word === '--help') return 'help'
    if (word === '--version') return 'version'
    if (word === '-D' || word === '--property') {
      const taken = takeProperty(words.slice(at + 1), draft.properties)
      if (typeof taken === 'string') throw misused(program, taken)
      draft.version = 5
      at += 1 + taken
      continue
    }
    const flag = FLAGS.get(word)
    if (flag === undefined || flag.only?.includes(program) === false)
      throw misused(program, `Error: Unknown option '${word}'.\n`)
    const value = flag.value === undefined ? '' : words[at + 1]
    if (value === undefined)
      throw misused(program, `Error: ${flag.name ?? word} argument given but no ${flag.value} specified.\n\n`)
    const fault = flag.take(draft, value, program)
    if (fault !== undefined) throw misused(program, fault)
    at += flag.value === undefined ? 1 : 2
  }
  return undefined
}

function misused(program: Program, fault: string): ClientFault {
  return new ClientFault(`${fault}\nUse 'larder ${program} --help' to see usage.\n`)
}

function emptyDraft(program: Program): Draft {
  return {
    host: 'localhost',
    port: undefined,
    unix: undefined,
    bindAddress: undefined,
    proxy: undefined,
    srv: false,
    webSocket: false,
    tls: { insecure: false, useSystemCertificates: false },
    username: undefined,
    password: undefined,
    clientId: undefined,
    // A request says where its answer goes, which only MQTT 5 has a place for.
    version: program === 'rr' ? 5 : 4,
    clean: true,
    keepalive: 60,
    will: undefined,
    properties: noProperties(),
    qos: 0,
    debug: false,
    quiet: false,
    maxInflight: 20,
    payload: undefined,
    retain: false,
    repeat: 1,
    repeatDelay: 0,
    responseTopic: undefined,
    topics: [],
    unsubscribe: [],
    filterOut: [],
    count: undefined,
    timeout: undefined,
    exitAfterSubscribing: false,
    withoutRetained: false,
    retainedOnly: false,
    removeRetained: false,
    retainAsPublished: false,
    chance: 1,
    watch: false,
    format: undefined,
    verbose: false,
    endOfLine: true,
    pretty: false,
    idPrefix: undefined,
    sessionExpiry: undefined,
    psk: undefined,
    pskIdentity: undefined,
    willTopic: undefined,
    willPayload: undefined,
    willQos: 0,
    willRetain: false,
  }
}

/** What only the whole command line shows. */
function combined(draft: Draft, program: Program, pid: number): string | undefined {
  const { tls, willTopic, psk, pskIdentity } = draft
  if (draft.willPayload !== undefined && willTopic === undefined)
    return 'Error: Will payload given, but no will topic given.\n'
  if (draft.willRetain && willTopic === undefined) return 'Error: Will retain given, but no will topic given.\n'
  if ((tls.certFile === undefined) !== (tls.keyFile === undefined))
    return 'Error: Both certfile and keyfile must be provided if one of them is set.\n'
  if (psk !== undefined && (tls.caFile !== undefined || tls.caPath !== undefined))
    return 'Error: Only one of --psk or --cafile/--capath may be used at once.\n'
  if (psk !== undefined && pskIdentity === undefined) return 'Error: --psk-identity required if --psk used.\n'
  const isNamed = draft.clientId !== undefined
  if (draft.version === 5) {
    const expiry = draft.sessionExpiry ?? (draft.clean ? 0 : NO_EXPIRY)
    if (expiry === NO_EXPIRY && !isNamed)
      return 'Error: You must provide a client id if you are using an infinite session expiry interval.\n'
    if (expiry > 0) draft.properties.connect.sessionExpiryInterval = expiry
  } else if (!draft.clean && !isNamed) {
    return 'Error: You must provide a client id if you are using the -c option.\n'
  }
  if (program === 'sub' && draft.topics.length === 0) return 'Error: You must specify a topic to subscribe to.\n'
  const forbidden = forbiddenValue(draft.properties)
  if (forbidden !== undefined) {
    const packet = forbidden === 'will' ? 'Will' : forbidden.toUpperCase()
    return `Error in ${packet} properties: A network protocol error occurred when communicating with the broker.\n`
  }
  if (psk !== undefined && pskIdentity !== undefined) tls.psk = { key: psk, identity: pskIdentity }
  if (willTopic !== undefined) {
    const payload = Buffer.from(draft.willPayload ?? '')
    draft.will = { topic: willTopic, payload, qos: draft.willQos, retain: draft.willRetain }
  }
  if (draft.idPrefix !== undefined) draft.clientId = `${draft.idPrefix}${pid}`
  return undefined
}
