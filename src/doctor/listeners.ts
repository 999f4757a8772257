/**
 * Whether clients reach the gateway: is there a way in from other machines, is it guarded, and does a message that is published
 * there come back? A gateway that is stopped is asked for nothing; then it is looked whether somebody else has its ports.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { ListenerConfig } from '../config/schema.ts'
import { reasonOf, systemCodeOf } from '../kernel/errors.ts'
import { openWebSocket } from '../mqtt/websocket.ts'
import type { Check } from './examine.ts'
import { type LoopOutcome, tryLoop } from './loop.ts'
import type { DoctorDependencies, Subject, Told } from './ports.ts'
import { gatewayOn, listenersOn, named } from './processes.ts'

const DAY_MS = 86_400_000
/** Days before the end of a certificate from which on it is time. */
const RENEW_WITHIN = 14
/** Milliseconds for one listener. */
const PATIENCE = 8_000
const NO_ANSWER = 'it does not answer'
/** Return codes of MQTT 3.1.1 and reason codes of MQTT 5 of a login that is missing or wrong. */
const LOGIN_CODES: readonly number[] = [4, 5, 0x86, 0x87, 0x8c]

export const checkListeners: Check = async (subject, deps, signal) => {
  const { config } = subject
  if (config === undefined) return [{ grade: 'skip', cause: 'listeners stand in the configuration' }]
  const told = await Promise.all(
    config.listeners.map(async listener => {
      const late = new AbortController()
      const timer = deps.clock.after(PATIENCE, () => late.abort(new Error(NO_ANSWER)))
      const told = await checkListener(listener, subject, deps, AbortSignal.any([signal, late.signal]))
      timer.cancel()
      return told
    }),
  )
  return [...reach(config.listeners), ...told.flat()]
}

/** Whether anything but this machine can come in at all. */
function reach(listeners: readonly ListenerConfig[]): Told[] {
  if (listeners.some(each => each.protocol !== 'unix' && !isLoopback(each.host))) return []
  return [
    {
      grade: 'warn',
      cause: 'no listener can be reached from other machines: all are for this one alone',
      mend: 'For phones and sensors of the network, add "mqtt://0.0.0.0:1883" to "listeners", with "access: { password_file: … }".',
    },
  ]
}

async function checkListener(
  listener: ListenerConfig,
  subject: Subject,
  deps: DoctorDependencies,
  signal: AbortSignal,
): Promise<Told[]> {
  const name = nameOf(listener)
  const guard = guardOf(listener)
  const told = guard === undefined ? [] : [{ subject: name, ...guard }]
  if (guard?.grade === 'fail') return told
  const tried =
    subject.running === undefined
      ? await withoutGateway(listener, subject, deps, signal)
      : await knock(listener, subject, deps, signal)
  return [...told, ...tried.map(each => ({ subject: name, ...each }))]
}

/** Who may come in, where that is too many or nobody. */
function guardOf({ access, tls, host, protocol, usernameFrom }: ListenerConfig): Told | undefined {
  const isKnown =
    access.passwordFile !== undefined ||
    tls?.pskFile !== undefined ||
    (tls?.clientCertificates === 'required' && usernameFrom !== 'connect')
  if (!access.allowAnonymous && !isKnown) {
    return {
      grade: 'fail',
      cause: 'nobody can come in: anonymous clients may not, and there are no users',
      mend: 'Make users ("larder passwd -c FILE USER") and name the file: "access: { password_file: FILE }".',
    }
  }
  const isOpen = access.allowAnonymous && tls?.clientCertificates !== 'required' && tls?.pskFile === undefined
  if (protocol === 'unix' || isLoopback(host) || !isOpen || access.aclFile !== undefined) return undefined
  return {
    grade: 'warn',
    cause: 'whoever is in the network may read and publish everything here, without a password',
    mend: '"access: { password_file: FILE, allow_anonymous: false }"; "larder passwd" makes the file.',
  }
}

/** The gateway does not run: nothing may be where it will be. */
async function withoutGateway(
  { protocol, port, host }: ListenerConfig,
  { config }: Subject,
  { roots }: DoctorDependencies,
  signal: AbortSignal,
): Promise<Told[]> {
  const stopped: Told = { grade: 'skip', cause: 'not tried: the gateway does not run' }
  if (protocol === 'unix' || port === 0) return [stopped]
  if (!(await isOurs(host)))
    return [{ grade: 'fail', cause: `this machine has no address ${host}`, mend: 'Take 0.0.0.0 for all addresses.' }]
  const socket = connect({ host: isWildcard(host) ? 'localhost' : host, port })
  try {
    await once(socket, 'connect', { signal })
  } catch {
    return [stopped]
  } finally {
    socket.destroy()
  }
  const others = await listenersOn(port, roots.proc)
  const gateway = await gatewayOn(config?.dataDir ?? '', roots.proc)
  if (others.some(({ pid }) => gateway.some(each => each.pid === pid))) {
    const mend = 'Run this as the user that it runs as, or restart it.'
    return [{ grade: 'warn', cause: 'a gateway runs there that does not answer commands', mend }]
  }
  if (others.length === 0) {
    const mend = 'Run this as the user of the gateway, or as root.'
    return [{ grade: 'warn', cause: `something has port ${port}, and this user is not told what`, mend }]
  }
  const mend = 'Stop it, or give the listener another port.'
  return [{ grade: 'fail', cause: `${named(others)} has port ${port}`, mend }]
}

/** Whether a listener could be there: for a moment one is, at a port that nobody knows. */
async function isOurs(host: string): Promise<boolean> {
  const server = createServer()
  try {
    await once(server.listen({ host: host || '::', port: 0 }), 'listening')
    return true
  } catch (error) {
    return !['EADDRNOTAVAIL', 'ENOTFOUND'].includes(systemCodeOf(error) ?? '')
  } finally {
    server.close()
  }
}

async function knock(
  listener: ListenerConfig,
  { login }: Subject,
  deps: DoctorDependencies,
  signal: AbortSignal,
): Promise<Told[]> {
  const { protocol, access, tls, versions, maxQos } = listener
  if (listener.port === 0 && protocol !== 'unix')
    return [{ grade: 'skip', cause: 'not tried: it takes any free port ("larder start" says which)' }]
  if (tls?.pskFile !== undefined && tls.cert === undefined)
    return [{ grade: 'skip', cause: 'not tried: it asks for a pre-shared key' }]
  const told: Told[] = []
  let stream: Duplex
  try {
    stream = await reachInside(listener, deps, signal, socket => told.push(...certificateOf(socket, deps.clock.wall())))
  } catch (error) {
    return [...told, unreached(listener, error)]
  }
  if (tls?.clientCertificates === 'required') {
    stream.destroy()
    return [...told, { grade: 'ok', cause: 'it answers, and asks for a certificate; further it was not tried' }]
  }
  const version = versions.includes(5) ? 5 : 4
  const begun = deps.clock.monotonic()
  const clientId = `${access.clientIdPrefixes[0] ?? ''}larder-doctor-${randomBytes(4).toString('hex')}`
  const outcome = await tryLoop(stream, { version, clientId, maxQos, ...login }, signal)
  return [...told, meaning(outcome, deps.clock.monotonic() - begun, login !== undefined)]
}

function meaning(outcome: LoopOutcome, took: number, hasLogin: boolean): Told {
  switch (outcome.reached) {
    case 'end':
      return { grade: 'ok', cause: `a message that was published there came back after ${took.toFixed(0)} ms` }
    case 'denied':
      return { grade: 'ok', cause: `it lets clients in; the access rules keep this one from ${outcome.topic}` }
    case 'refused':
      if (!LOGIN_CODES.includes(outcome.code))
        return { grade: 'fail', cause: `it refuses a client, with code ${outcome.code}`, mend: 'The log says why.' }
      if (!hasLogin) return { grade: 'ok', cause: 'it answers, and asks for user name and password' }
      return { grade: 'fail', cause: 'it refuses that user name and password', mend: '"larder passwd" sets another.' }
    default:
      return { grade: 'fail', cause: `no client comes through: ${outcome.reason}`, mend: 'The log says why.' }
  }
}

function unreached(listener: ListenerConfig, error: unknown): Told {
  const code = systemCodeOf(error)
  if (code === 'ECONNREFUSED' || code === 'ENOENT')
    return {
      grade: 'fail',
      cause: 'the gateway runs, and nothing listens there',
      mend: '"larder status" and the log say why.',
    }
  if (code === 'ETIMEDOUT' || code === 'EHOSTUNREACH' || reasonOf(error) === NO_ANSWER)
    return { grade: 'fail', cause: 'it cannot be reached', mend: `Does a firewall stand before port ${listener.port}?` }
  return { grade: 'fail', cause: reasonOf(error), mend: 'The log of the gateway may say more.' }
}

/** A stream that MQTT can be spoken on, as a client has it. `onTls` is told the TLS below it. */
async function reachInside(
  { protocol, host, port, path, tls, proxyProtocol }: ListenerConfig,
  deps: DoctorDependencies,
  signal: AbortSignal,
  onTls: (socket: TLSSocket) => void,
): Promise<Duplex> {
  const address = isWildcard(host) ? (deps.addresses()[0] ?? '127.0.0.1') : host
  const socket: Socket = protocol === 'unix' ? connect(path ?? '') : connect({ host: address, port })
  signal.addEventListener('abort', () => socket.destroy(signal.reason as Error), { once: true })
  await once(socket, 'connect', { signal })
  socket.on('error', () => {})
  if (proxyProtocol) socket.write('PROXY UNKNOWN\r\n')
  let stream: Duplex = socket
  if (tls !== undefined) {
    const name = isIP(host) === 0 && !isWildcard(host) ? { servername: host } : {}
    // Whether its certificate is one to trust is for its clients to say.
    const secure = connectTls({ socket, rejectUnauthorized: false, ...name, ALPNProtocols: tls.alpn })
    await once(secure, 'secureConnect', { signal })
    secure.on('error', () => {})
    onTls(secure)
    stream = secure
  }
  if (protocol !== 'ws' && protocol !== 'wss') return stream
  return openWebSocket(stream, { host: `${address}:${port}`, path: path ?? '/mqtt' })
}

function certificateOf(socket: TLSSocket, now: number): Told[] {
  const { valid_to: end } = socket.getPeerCertificate()
  if (end === undefined) return []
  const days = Math.floor((Date.parse(end) - now) / DAY_MS)
  if (days < 0)
    return [
      { grade: 'fail', cause: `its certificate has ended (${end})`, mend: 'Renew it; the gateway takes it by itself.' },
    ]
  const cause = `its certificate ends in ${days} days`
  return [
    days < RENEW_WITHIN
      ? { grade: 'warn', cause, mend: 'Renew it; the gateway takes it by itself.' }
      : { grade: 'ok', cause },
  ]
}

function nameOf({ protocol, host, port, path = '' }: ListenerConfig): string {
  if (protocol === 'unix') return `unix:${path}`
  return `${protocol}://${host.includes(':') ? `[${host}]` : host || '*'}:${port}${path}`
}

const isWildcard = (host: string) => host === '' || host === '0.0.0.0' || host === '::'
const isLoopback = (host: string) => host === 'localhost' || host === '::1' || /^127\./.test(host)
