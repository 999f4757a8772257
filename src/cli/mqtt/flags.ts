/**
 * The flags of `mosquitto_pub`, `mosquitto_sub` and `mosquitto_rr` that `larder pub`, `sub` and `rr` have: one table says what
 * there is, for whom, and what it does. `-D`, which takes several words, is in `properties.ts`.
 */
import type { QoS } from '../../mqtt/packets.ts'
import { subscriptionFault, topicFilterFault } from '../../mqtt/topics.ts'
import { compileFormat } from './format.ts'
import { hasWildcard, takePort, takeProxy, takeResponseTopic, takeTopic, takeUrl } from './places.ts'
import type { Draft, Payload, Program } from './settings.ts'

/** Largest port and keep alive: two bytes. */
const TWO_BYTES = 0xffff
/** Session Expiry Interval of a session that does not expire (MQTT 5 §3.1.2.11.2). */
export const NO_EXPIRY = 0xffff_ffff
/** The shortest keep alive that Mosquitto's programs take, in seconds. */
const MIN_KEEPALIVE = 5

const VERSIONS: Readonly<Record<string, 3 | 4 | 5>> = { mqttv31: 3, mqttv311: 4, mqttv5: 5, '31': 3, '311': 4, '5': 5 }

interface Flag {
  /** Who has it; all when absent. */
  only?: readonly Program[]
  /** What stands behind it, in the words of the complaint when nothing does. */
  value?: string
  /** How the complaint names it; the flag as it is called first in the table when absent. */
  name?: string
  /** Returns what is wrong, as Mosquitto says it. */
  take(draft: Draft, value: string, program: Program): string | undefined
}

/** A number as C's atoi reads it: what it begins with, else 0. */
const atoi = (text: string): number => Number.parseInt(text, 10) || 0

const setTo =
  <K extends keyof Draft>(key: K, value: Draft[K]) =>
  (draft: Draft): undefined => {
    draft[key] = value
  }

const text =
  (key: 'host' | 'unix' | 'bindAddress' | 'username' | 'password' | 'psk' | 'pskIdentity' | 'willPayload') =>
  (draft: Draft, value: string): undefined => {
    draft[key] = value
  }

const tlsText =
  (key: 'caFile' | 'caPath' | 'certFile' | 'keyFile' | 'ciphers' | 'version' | 'alpn') =>
  (draft: Draft, value: string): undefined => {
    draft.tls[key] = value
  }

const tlsOn =
  (key: 'insecure' | 'useSystemCertificates') =>
  (draft: Draft): undefined => {
    draft.tls[key] = true
  }

const payload =
  (make: (value: string) => Payload) =>
  (draft: Draft, value: string): string | undefined => {
    if (draft.payload !== undefined) return 'Error: Only one type of message can be sent at once.\n\n'
    draft.payload = make(value)
    return undefined
  }

const qosOf = (value: string): QoS | undefined => ([0, 1, 2] as const).find(qos => qos === atoi(value))

const TABLE: readonly (readonly [names: string, flag: Flag])[] = [
  ['-A', { value: 'address', take: text('bindAddress') }],
  ['--cafile', { value: 'file', take: tlsText('caFile') }],
  ['--capath', { value: 'directory', take: tlsText('caPath') }],
  ['--cert', { value: 'file', take: tlsText('certFile') }],
  ['--key', { value: 'file', take: tlsText('keyFile') }],
  ['--ciphers', { value: 'ciphers', take: tlsText('ciphers') }],
  ['--tls-version', { value: 'version', take: tlsText('version') }],
  ['--tls-alpn', { value: 'protocol', take: tlsText('alpn') }],
  ['--insecure', { take: tlsOn('insecure') }],
  ['--tls-use-os-certs', { take: tlsOn('useSystemCertificates') }],
  ['--psk', { value: 'key', take: text('psk') }],
  ['--psk-identity', { value: 'identity', take: text('pskIdentity') }],
  ['-c --disable-clean-session', { take: setTo('clean', false) }],
  ['-d --debug', { take: setTo('debug', true) }],
  ['--quiet', { take: setTo('quiet', true) }],
  ['--nodelay', { take: () => undefined }],
  // Read before all others (options-file.ts).
  ['-o', { value: 'options file', take: () => undefined }],
  ['--proxy', { value: 'proxy url', take: takeProxy }],
  ['-S', { take: setTo('srv', true) }],
  ['--ws', { take: setTo('webSocket', true) }],
  ['-u --username', { value: 'username', take: text('username') }],
  ['-P --pw', { value: 'password', take: text('password') }],
  ['-h --host', { value: 'host', take: text('host') }],
  ['--unix', { value: 'socket path', take: text('unix') }],
  [
    '-p --port',
    {
      value: 'port',
      take: takePort,
    },
  ],
  [
    '-L --url',
    {
      value: 'URL',
      take: takeUrl,
    },
  ],
  [
    '-i --id',
    {
      value: 'id',
      take(draft, value) {
        if (draft.idPrefix !== undefined) return 'Error: -i and -I argument cannot be used together.\n\n'
        draft.clientId = value
        return undefined
      },
    },
  ],
  [
    '-I --id-prefix',
    {
      value: 'id prefix',
      take(draft, value) {
        if (draft.clientId !== undefined) return 'Error: -i and -I argument cannot be used together.\n\n'
        draft.idPrefix = value
        return undefined
      },
    },
  ],
  [
    '-k --keepalive',
    {
      value: 'keepalive',
      take(draft, value) {
        const seconds = atoi(value)
        if (seconds < MIN_KEEPALIVE || seconds > TWO_BYTES)
          return 'Error: Invalid keepalive given, it must be between 5 and 65535 inclusive.\n\n'
        draft.keepalive = seconds
        return undefined
      },
    },
  ],
  [
    '-M',
    {
      value: 'max_inflight',
      take(draft, value) {
        const count = atoi(value)
        if (count < 1) return 'Error: Maximum inflight messages must be greater than 0.\n\n'
        draft.maxInflight = count
        return undefined
      },
    },
  ],
  [
    '-V --protocol-version',
    {
      value: 'version',
      name: '--protocol-version',
      take(draft, value) {
        const version = Object.hasOwn(VERSIONS, value) ? VERSIONS[value] : undefined
        if (version === undefined) return 'Error: Invalid protocol version argument given.\n\n'
        draft.version = version
        return undefined
      },
    },
  ],
  [
    '-x',
    {
      value: 'session expiry interval',
      take(draft, value) {
        const seconds = value === '∞' ? NO_EXPIRY : Number(value.trim() === '' ? Number.NaN : value)
        if (!Number.isInteger(seconds)) return 'Error: session-expiry-interval not a number.\n\n'
        if (seconds < -1 || seconds > NO_EXPIRY) return 'Error: session-expiry-interval out of range.\n\n'
        draft.sessionExpiry = seconds === -1 ? NO_EXPIRY : seconds
        return undefined
      },
    },
  ],
  [
    '-q --qos',
    {
      value: 'QoS',
      take(draft, value) {
        const qos = qosOf(value)
        if (qos === undefined) return `Error: Invalid QoS given: ${atoi(value)}\n`
        draft.qos = qos
        return undefined
      },
    },
  ],
  [
    '--will-topic',
    {
      value: 'will topic',
      take(draft, value) {
        if (hasWildcard(value)) return `Error: Invalid will topic '${value}', does it contain '+' or '#'?\n`
        draft.willTopic = value
        return undefined
      },
    },
  ],
  ['--will-payload', { value: 'will payload', take: text('willPayload') }],
  [
    '--will-qos',
    {
      value: 'will QoS',
      take(draft, value) {
        const qos = qosOf(value)
        if (qos === undefined) return `Error: Invalid will QoS ${atoi(value)}.\n\n`
        draft.willQos = qos
        return undefined
      },
    },
  ],
  ['--will-retain', { take: setTo('willRetain', true) }],
  ['-t --topic', { value: 'topic', take: takeTopic }],
  ['-e', { only: ['rr'], value: 'response topic', take: takeResponseTopic }],

  ['-f --file', { only: ['pub', 'rr'], value: 'file', take: payload(file => ({ is: 'file', file })) }],
  ['-m --message', { only: ['pub', 'rr'], value: 'message', take: payload(text => ({ is: 'text', text })) }],
  ['-n --null-message', { only: ['pub', 'rr'], take: payload(() => ({ is: 'nothing' })) }],
  ['-l --stdin-line', { only: ['pub'], take: payload(() => ({ is: 'lines' })) }],
  ['-s --stdin-file', { only: ['pub', 'rr'], take: payload(() => ({ is: 'input' })) }],
  ['-r --retain', { only: ['pub'], take: setTo('retain', true) }],
  [
    '--repeat',
    {
      only: ['pub'],
      value: 'count',
      take(draft, value) {
        draft.repeat = atoi(value)
        return draft.repeat < 1 ? 'Error: --repeat argument must be >0.\n\n' : undefined
      },
    },
  ],
  [
    '--repeat-delay',
    {
      only: ['pub'],
      value: 'time',
      take(draft, value) {
        draft.repeatDelay = Number.parseFloat(value) || 0
        return draft.repeatDelay < 0 ? 'Error: --repeat-delay argument must be >=0.0.\n\n' : undefined
      },
    },
  ],

  [
    '-C',
    {
      only: ['sub'],
      value: 'count',
      take(draft, value) {
        const count = atoi(value)
        if (count < 1) return `Error: Invalid message count "${count}".\n\n`
        draft.count = count
        return undefined
      },
    },
  ],
  ['-E', { only: ['sub'], take: setTo('exitAfterSubscribing', true) }],
  [
    '-F',
    {
      only: ['sub', 'rr'],
      value: 'format',
      take(draft, value) {
        const format = compileFormat(value)
        if (typeof format === 'string') return format
        draft.format = format
        return undefined
      },
    },
  ],
  ['-N', { only: ['sub', 'rr'], take: setTo('endOfLine', false) }],
  ['-v --verbose', { only: ['sub', 'rr'], take: setTo('verbose', true) }],
  ['--pretty', { only: ['sub', 'rr'], take: setTo('pretty', true) }],
  ['-R', { only: ['sub', 'rr'], take: setTo('withoutRetained', true) }],
  ['--retained-only', { only: ['sub'], take: setTo('retainedOnly', true) }],
  ['--remove-retained', { only: ['sub'], take: setTo('removeRetained', true) }],
  ['--retain-as-published', { only: ['sub'], take: setTo('retainAsPublished', true) }],
  ['-w --watch', { only: ['sub'], take: setTo('watch', true) }],
  [
    '--random-filter',
    {
      only: ['sub'],
      value: 'chance',
      take(draft, value) {
        const percent = Number.parseFloat(value)
        if (!(percent >= 0.1 && percent <= 100)) return 'Error: --random-filter chance must be between 0.1-100.0\n\n'
        draft.chance = percent / 100
        return undefined
      },
    },
  ],
  [
    '-T --filter-out',
    {
      only: ['sub'],
      value: 'topic filter',
      name: '-T',
      take(draft, value) {
        if (topicFilterFault(value, Number.POSITIVE_INFINITY) !== undefined)
          return `Error: Invalid filter topic '${value}', are all '+' and '#' wildcards correct?\n`
        draft.filterOut.push(value)
        return undefined
      },
    },
  ],
  [
    '-U --unsubscribe',
    {
      only: ['sub'],
      value: 'unsubscribe topic',
      take(draft, value) {
        if (subscriptionFault(value, Number.POSITIVE_INFINITY) !== undefined)
          return `Error: Invalid unsubscribe topic '${value}', are all '+' and '#' wildcards correct?\n`
        draft.unsubscribe.push(value)
        return undefined
      },
    },
  ],
  [
    '-W',
    {
      only: ['sub', 'rr'],
      value: 'timeout',
      take(draft, value) {
        const seconds = atoi(value)
        if (seconds < 1) return `Error: Invalid timeout "${seconds}".\n\n`
        draft.timeout = seconds
        return undefined
      },
    },
  ],
]

/** The names of the flags of a program, and what stands behind them; `-D` is followed by several words. */
export function flagNames(program: Program): { names: string[]; value: string | undefined }[] {
  const own = TABLE.filter(([, { only }]) => only?.includes(program) ?? true)
  const named = own.map(([names, { value }]) => ({ names: names.split(' '), value }))
  return [
    ...named,
    { names: ['-D', '--property'], value: 'property' },
    { names: ['--help', '--version'], value: undefined },
  ]
}

/** By each of their names. */
export const FLAGS: ReadonlyMap<string, Flag> = new Map(
  TABLE.flatMap(([names, flag]) => {
    const [first = '', ...others] = names.split(' ')
    return [first, ...others].map(name => [name, { name: first, ...flag }] as const)
  }),
)
