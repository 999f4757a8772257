/** The stream under a connection: TCP, TLS or a Unix socket, as the flags ask for it. */
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { connect as connectTcp, type Socket } from 'node:net'
import { join } from 'node:path'
import { type ConnectionOptions, connect as connectTls, rootCertificates, type SecureVersion } from 'node:tls'
import { reasonOf } from '../../kernel/errors.ts'
import type { ClientSettings } from './settings.ts'
import { ClientFault, STATUS_TLS } from './texts.ts'

/** The certificates that the machine trusts, where Debian keeps them. */
const SYSTEM_CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt'

const VERSIONS: Readonly<Record<string, SecureVersion>> = {
  'tlsv1.1': 'TLSv1.1',
  'tlsv1.2': 'TLSv1.2',
  'tlsv1.3': 'TLSv1.3',
}

const PLAIN_PORT = 1883
const TLS_PORT = 8883

/** Connects; over TLS the server has proved itself then. Rejects with the error of the socket, or a ClientFault for files that cannot be read. */
export async function openSocket(settings: ClientSettings): Promise<Socket> {
  const { unix, bindAddress } = settings
  const tls = tlsOptions(settings)
  const port = settings.port ?? (tls === undefined ? PLAIN_PORT : TLS_PORT)
  const local = bindAddress === undefined ? {} : { localAddress: bindAddress }
  const place = unix === undefined ? { host: settings.host, port, ...local } : { path: unix }
  const socket = tls === undefined ? connectTcp(place) : connectTls({ ...place, ...tls })
  try {
    await once(socket, 'connect')
    if (tls !== undefined) await handshake(socket)
  } catch (error) {
    socket.destroy()
    throw error
  }
  if (unix === undefined) socket.setNoDelay(true)
  return socket
}

/** Mosquitto does not say why; whoever has to mend it must know. */
async function handshake(socket: Socket): Promise<void> {
  try {
    await once(socket, 'secureConnect')
  } catch (error) {
    throw new ClientFault(`Error: A TLS error occurred.\n${reasonOf(error)}\n`, STATUS_TLS)
  }
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
