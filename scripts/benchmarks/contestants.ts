/**
 * The brokers that `scripts/bench` compares. Larder has its store, and acknowledges what is on the disk; the others hold
 * everything in memory, which is the least that they can do. None has a web page, or limits that a load would meet.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Authority, type Pair } from '../../test/support/certificates.ts'
import { freePort } from '../../test/support/free-port.ts'
import { ROOT } from '../../test/support/gateway.ts'
import { findBinary } from '../../test/support/needs.ts'
import { OTHER_CORE } from './core.ts'
import { PinnedBroker, writeLines } from './pinned-broker.ts'

/** More than any scenario has under way for one client. */
const MAX_INFLIGHT = 1_000
/** What is below it goes over the bridge of a broker that has one. */
export const BRIDGED = 'bridged'

/** The one that all are compared with. */
export const RIVAL = 'mosquitto'
export const OURS = 'larder'

export type Transport = 'tcp' | 'ws' | 'tls'

export interface Ports {
  readonly tcp: number
  readonly ws: number
  readonly tls: number
}

export interface Contestant {
  readonly name: string
  readonly about: string
  readonly transports: readonly Transport[]
  /** Speaks MQTT 5. */
  readonly speaks5: boolean
  /** Can be told to bridge. */
  readonly bridges: boolean
  /** A fresh one that accepts connections. */
  start(wish: Wish): Promise<Running>
}

export interface Wish {
  /** It has a listener of each transport that it can; else one of TCP. */
  readonly hasAll?: boolean
  /** The port that it has a bridge to. */
  readonly upstream?: number
}

export interface Running extends AsyncDisposable {
  readonly pid: number
  readonly ports: Ports
  /** Seconds from its start to the first CONNACK; undefined of one that ran before. */
  readonly startTime: number | undefined
}

interface Place extends Wish {
  readonly folder: string
  readonly ports: Ports
  readonly pair: Pair
}

type Command = [string, ...string[]]
/** A certificate for 127.0.0.1 and its key, as text. */
type Pem = Readonly<Record<keyof Pair, string>>
type Certificate = () => Promise<Pem>

/** All that are installed, and the caller's own: `name=port:pid`. */
export function contestants(given: readonly string[]): Contestant[] {
  const mosquitto = findBinary('mosquitto')
  // To make one takes longer than to start a broker.
  let made: Promise<Pem> | undefined
  const certificate = () => {
    made ??= makeCertificate()
    return made
  }
  return [
    larder(certificate),
    ...(mosquitto === undefined ? [] : [mosquittoOf(mosquitto, certificate)]),
    aedes(),
    ...given.map(runningAlready),
  ]
}

/** Where bridges lead: a mosquitto beside the generator, the same for all. Undefined when it is not installed. */
export async function startUpstream(): Promise<PinnedBroker | undefined> {
  const binary = findBinary('mosquitto')
  if (binary === undefined) return undefined
  return await PinnedBroker.start({
    name: 'the upstream',
    core: OTHER_CORE,
    prepare: async (port, folder) => {
      const lines = [...MOSQUITTO, `listener ${port} 127.0.0.1`]
      return [binary, '-c', await writeLines(folder, 'mosquitto.conf', lines)]
    },
  })
}

function larder(certificate: Certificate): Contestant {
  const lines = ({ folder, ports: { tcp, ws, tls }, pair: { cert, key }, hasAll, upstream }: Place) => [
    `data_dir: '${folder}/data'`,
    'listeners:',
    `  - mqtt://127.0.0.1:${tcp}`,
    ...(hasAll === true
      ? [`  - ws://127.0.0.1:${ws}`, `  - { url: 'mqtts://127.0.0.1:${tls}', tls: { cert: '${cert}', key: '${key}' } }`]
      : []),
    'store: { durability: ack }',
    `limits: { max_inflight: ${MAX_INFLIGHT}, max_queued_messages: 10000000, max_total_messages: 10000000, max_subscriptions: 20000, max_connections: 20000 }`,
    'dashboard: off',
    'log: { level: warn }',
    ...(upstream === undefined
      ? []
      : [
          'bridges:',
          '  - name: upstream',
          `    url: mqtt://127.0.0.1:${upstream}`,
          '    version: "3.1.1"',
          `    max_inflight: ${MAX_INFLIGHT}`,
          `    out: [{ filter: ${BRIDGED}/# }]`,
        ]),
  ]
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
  return {
    name: OURS,
    about: `${version}${commitOf()}, store on disk, acknowledged means synced`,
    transports: ['tcp', 'ws', 'tls'],
    speaks5: true,
    bridges: true,
    start: launcher(OURS, certificate, async place => {
      const file = await writeLines(place.folder, 'larder.yaml', lines(place))
      return [join(ROOT, 'bin/larder'), 'start', '-c', file]
    }),
  }
}

const MOSQUITTO = [
  ...['allow_anonymous true', 'log_dest none', 'user root', 'persistence false', 'set_tcp_nodelay true'],
  ...['max_queued_messages 0', `max_inflight_messages ${MAX_INFLIGHT}`],
]

function mosquittoOf(binary: string, certificate: Certificate): Contestant {
  const lines = ({ ports: { tcp, ws, tls }, pair: { cert, key }, hasAll, upstream }: Place) => [
    ...MOSQUITTO,
    `listener ${tcp} 127.0.0.1`,
    ...(hasAll === true
      ? [
          ...[`listener ${ws} 127.0.0.1`, 'protocol websockets'],
          ...[`listener ${tls} 127.0.0.1`, `certfile ${cert}`, `keyfile ${key}`],
        ]
      : []),
    ...(upstream === undefined
      ? []
      : [
          ...['connection upstream', `address 127.0.0.1:${upstream}`, `topic ${BRIDGED}/# out 1`],
          ...['cleansession false', 'notifications false', 'try_private false', 'restart_timeout 1'],
        ]),
  ]
  // It ends with status 3 when asked for help.
  const version = /version (\S+)/.exec(String(spawnSync(binary, ['-h']).stdout))?.[1] ?? 'version unknown'
  return {
    name: RIVAL,
    about: `${version}, Debian’s, persistence false, set_tcp_nodelay true`,
    transports: ['tcp', 'ws', 'tls'],
    speaks5: true,
    bridges: true,
    start: launcher(RIVAL, certificate, async place => [
      binary,
      '-c',
      await writeLines(place.folder, 'mosquitto.conf', lines(place)),
    ]),
  }
}

function aedes(): Contestant {
  const server = join(ROOT, 'scripts/benchmarks/aedes-server.mjs')
  const file = join(ROOT, 'node_modules/aedes/package.json')
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string }
  return {
    name: 'aedes',
    about: `${version}, stock, in memory`,
    transports: ['tcp'],
    speaks5: false,
    bridges: false,
    start: launcher('aedes', undefined, async ({ ports }) => [process.execPath, server, String(ports.tcp)]),
  }
}

function runningAlready(text: string): Contestant {
  const [, name, port, pid] = /^([^=]+)=(\d+):(\d+)$/.exec(text) ?? []
  if (name === undefined) throw new Error(`a broker is given as name=port:pid, not ${text}`)
  const ports = { tcp: Number(port), ws: 0, tls: 0 }
  return {
    name,
    about: `port ${port}, process ${pid}`,
    transports: ['tcp'],
    speaks5: true,
    bridges: false,
    start: async () => ({ pid: Number(pid), ports, startTime: undefined, async [Symbol.asyncDispose]() {} }),
  }
}

function launcher(
  name: string,
  certificate: Certificate | undefined,
  commandOf: (place: Place) => Promise<Command>,
): Contestant['start'] {
  return async wish => {
    const [ws, tls] = await Promise.all([freePort(), freePort()])
    const broker = await PinnedBroker.start({
      name,
      async prepare(tcp, folder) {
        const pair = { cert: join(folder, 'server.pem'), key: join(folder, 'server.key') }
        if (certificate !== undefined) {
          const { cert, key } = await certificate()
          await Promise.all([writeFile(pair.cert, cert), writeFile(pair.key, key, { mode: 0o600 })])
        }
        return await commandOf({ ...wish, folder, ports: { tcp, ws, tls }, pair })
      },
    })
    return {
      pid: broker.pid,
      ports: { tcp: broker.port, ws, tls },
      startTime: broker.startTime,
      [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose](),
    }
  }
}

async function makeCertificate(): Promise<Pem> {
  const folder = await mkdtemp(join(tmpdir(), 'larder-bench-'))
  try {
    const { cert, key } = await (await Authority.make(folder, 'bench')).server()
    return { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Which commit is measured, if the checkout is one of git. */
function commitOf(): string {
  try {
    return ` (${execFileSync('git', ['describe', '--always', '--dirty'], { cwd: ROOT, encoding: 'utf8', stdio: 'pipe' }).trim()})`
  } catch {
    return ''
  }
}
