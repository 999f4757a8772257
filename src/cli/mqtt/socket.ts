/** The stream under a connection, as the flags ask for it: TCP or a Unix socket, a proxy, TLS, WebSocket. */
import { promises as dns } from 'node:dns'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { connect as connectTcp, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { type ConnectionOptions, connect as connectTls, rootCertificates, type SecureVersion } from 'node:tls'
import { reasonOf } from '../../kernel/errors.ts'
import { openWebSocket } from '../../mqtt/websocket.ts'
import type { ClientSettings } from './settings.ts'
import { throughSocks } from './socks.ts'
import { ClientFault, STATUS_TLS } from './texts.ts'

/** The certificates that the machine trusts, where Debian keeps them. */
const SYSTEM_CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt'

const VERSIONS: Readonly<Record<string, SecureVersion>> = {
  'tlsv1.1': 'TLSv1.1',
  'tlsv1.2': 'TLSv1.2',
  'tlsv1.3': 'TLSv1.3',
}

/** What Mosquitto and most others answer at. */
const WEB_SOCKET_PATH = '/mqtt'
const PLAIN_PORT = 1883
const TLS_PORT = 8883

/** Names of the service in DNS (RFC 2782), as Mosquitto asks for them. */
const SERVICES = { plain: '_mqtt._tcp', tls: '_secure-mqtt._tcp' } as const

/** Connects; over TLS the server has proved itself then. Rejects with the error of the socket, or a ClientFault for files that cannot be read. */
export async function openSocket(settings: ClientSettings): Promise<Duplex> {
  const { unix, bindAddress, proxy, webSocket } = settings
  const tls = tlsOptions(settings)
  const place = await placeOf(settings, tls !== undefined)
  const local = bindAddress === undefined ? {} : { localAddress: bindAddress }
  let socket: Socket
  if (proxy !== undefined && unix === undefined) socket = await throughSocks(proxy, place, local)
  else {
    socket = connectTcp(unix === undefined ? { ...place, ...local } : { path: unix })
    await opened(socket, 'connect')
  }
  if (unix === undefined) socket.setNoDelay(true)
  const stream = tls === undefined ? socket : await handshake(socket, { ...tls, host: settings.host })
  if (!webSocket) return stream
  return openWebSocket(stream, { host: `${place.host}:${place.port}`, path: WEB_SOCKET_PATH })
}

/** The host and port that were given, or those that DNS names for the service there. */
async function placeOf({ host, port, srv }: ClientSettings, isTls: boolean): Promise<{ host: string; port: number }> {
  if (!srv) return { host, port: port ?? (isTls ? TLS_PORT : PLAIN_PORT) }
  const service = `${isTls ? SERVICES.tls : SERVICES.plain}.${host}`
  const records = await dns.resolveSrv(service).catch(() => [])
  const [first] = records.sort((a, b) => a.priority - b.priority || b.weight - a.weight)
  if (first === undefined) throw new ClientFault('Unable to connect (Lookup error.).\n')
  return { host: first.name, port: first.port }
}

async function opened(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  try {
    await once(socket, event)
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** Mosquitto does not say why; whoever has to mend it must know. */
async function handshake(plain: Socket, options: ConnectionOptions): Promise<Duplex> {
  const socket = connectTls({ ...options, socket: plain })
  try {
    await opened(socket, 'secureConnect')
  } catch (error) {
    throw new ClientFault(`Error: A TLS error occurred.\n${reasonOf(error)}\n`, STATUS_TLS)
  }
  return socket
}

/** Undefined for a connection in the clear. */
function tlsOptions({ host, port, tls, unix }: ClientSettings): ConnectionOptions | undefined {
  const { caFile, caPath, psk } = tls
  const trustsSystem = tls.useSystemCertificates || (port === TLS_PORT && caFile === undefined && caPath === undefined)
  if (caFile === undefined && caPath === undefined && psk === undefined && !trustsSystem) return undefined
  const version = tls.version === undefined ? undefined : VERSIONS[tls.version]
  if (tls.version !== undefined && version === undefined)
    throw new ClientFault('Error: Problem setting TLS options, check the options are valid.\n')
  const common: ConnectionOptions = {
    ...(tls.alpn === undefined ? {} : { ALPNProtocols: [tls.alpn] }),
    ...(version === undefined ? { minVersion: 'TLSv1.2' } : { minVersion: version, maxVersion: version }),
    ...(tls.ciphers === undefined ? {} : { ciphers: tls.ciphers }),
    // A server is known by its name, not by an address [RFC 6066 §3].
    ...(unix !== undefined || /^[\d.]+$|:/.test(host) ? {} : { servername: host }),
    ...(tls.insecure ? { checkServerIdentity: () => undefined } : {}),
  }
  if (psk !== undefined) {
    const key = Buffer.from(psk.key, 'hex')
    return {
      ciphers: 'PSK',
      ...common,
      // Otherwise Node does not ask for the key.
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
      pskCallback: () => ({ psk: key, identity: psk.identity }),
      checkServerIdentity: () => undefined,
    }
  }
  return {
    ...common,
    ca: [
      ...(caFile === undefined ? [] : [read(caFile)]),
      ...(caPath === undefined ? [] : filesIn(caPath)),
      ...(trustsSystem ? systemCertificates() : []),
    ],
    ...(tls.certFile === undefined ? {} : { cert: read(tls.certFile) }),
    ...(tls.keyFile === undefined ? {} : { key: read(tls.keyFile) }),
  }
}

function systemCertificates(): (string | Buffer)[] {
  return existsSync(SYSTEM_CERTIFICATES) ? [read(SYSTEM_CERTIFICATES)] : [...rootCertificates]
}

function filesIn(folder: string): Buffer[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    throw notFound()
  }
  return names.filter(name => /\.(crt|pem)$/.test(name)).map(name => read(join(folder, name)))
}

function read(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch {
    throw notFound()
  }
}

function notFound(): ClientFault {
  return new ClientFault('Error: Problem setting TLS options: File not found.\n')
}
