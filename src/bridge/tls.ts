/**
 * TLS towards an upstream. The files are read for each connection: whoever renews a certificate need tell nobody, and a
 * connection that stands keeps what it began with until it is asked whether that is still so. The upstream's
 * certificate is always verified.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { type ConnectionOptions, createSecureContext, DEFAULT_CIPHERS } from 'node:tls'
import { LarderError, reasonOf, systemCodeOf } from '../kernel/errors.ts'
import type { UpstreamAddress, UpstreamTls } from './connection.ts'

/** What brokers with pre-shared keys have: OpenSSL's and mbed TLS' own names, forward secrecy first. */
const PSK_CIPHERS =
  'ECDHE-PSK-CHACHA20-POLY1305:ECDHE-PSK-AES128-CBC-SHA256:PSK-AES256-GCM-SHA384:PSK-AES128-GCM-SHA256'

/** Where systems keep the authorities that they trust: Debian, Red Hat, SUSE, Alpine. */
const SYSTEM_AUTHORITIES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]
/** Of a folder of authorities: certificates, and the links to them that `openssl rehash` makes. */
const AUTHORITY_FILE = /\.(crt|pem)$|^[0-9a-f]{8}\.\d+$/
/** Files read of such a folder: several times what a system trusts. */
const MAX_FOLDER_FILES = 1_000

export interface UpstreamTlsOptions {
  readonly options: ConnectionOptions
  /** The same as long as the files hold the same. */
  readonly fingerprint: string
}

/** Rejects with a `LarderError` CERTIFICATE_INVALID that names the file. */
export async function tlsOptionsOf(tls: UpstreamTls, { host }: UpstreamAddress): Promise<UpstreamTlsOptions> {
  const { cert, key, alpn = [], serverName, minVersion = 'TLSv1.2', checkName = true, pskIdentity, pskKey } = tls
  const name = serverName ?? host
  const options: ConnectionOptions = {
    minVersion,
    // [RFC 6066 §3] An address is no name.
    ...(isIP(name) === 0 ? { servername: name } : {}),
    // Node compares with this name when there is no server name.
    host: name,
    ...(tls.ciphers === undefined ? {} : { ciphers: ciphersOf(tls.ciphers) }),
    ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
    ...(checkName ? {} : { checkServerIdentity: () => undefined }),
    ...(pskIdentity === undefined || pskKey === undefined ? {} : pskOptions(pskIdentity, pskKey, tls.ciphers)),
  }
  const authorities = await authoritiesOf(tls)
  if (authorities !== undefined) options.ca = authorities
  if (cert !== undefined) options.cert = certificatesOf(await read(cert), cert).join('\n')
  if (key !== undefined) options.key = await read(key)
  tryOut(options, tls)
  const hash = createHash('sha256').update(JSON.stringify([options.ca, options.cert, options.key]))
  return { options, fingerprint: hash.digest('base64') }
}

/** Undefined: those that Node brings. */
async function authoritiesOf({ ca, caFolder, systemAuthorities }: UpstreamTls): Promise<string[] | undefined> {
  const found = new Set<string>()
  if (ca !== undefined) for (const each of certificatesOf(await read(ca), ca)) found.add(each)
  if (caFolder !== undefined) for (const each of await inFolder(caFolder)) found.add(each)
  if (systemAuthorities === true) for (const each of await ofSystem()) found.add(each)
  const isOwn = ca !== undefined || caFolder !== undefined || systemAuthorities === true
  return isOwn ? [...found] : undefined
}

async function inFolder(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(error => {
    throw unreadable(folder, error)
  })
  const files = names.filter(name => AUTHORITY_FILE.test(name)).sort()
  const found: string[] = []
  for (const name of files.slice(0, MAX_FOLDER_FILES)) {
    const file = join(folder, name)
    found.push(...certificatesOf(await read(file), file))
  }
  if (found.length > 0) return found
  throw invalid(folder, 'holds no certificate', 'Its files must be called something.crt or something.pem.')
}

async function ofSystem(): Promise<string[]> {
  for (const file of SYSTEM_AUTHORITIES) {
    const text = await readFile(file, 'latin1').catch(() => undefined)
    if (text !== undefined) return certificatesOf(text, file)
  }
  const hint = 'Install ca-certificates, or give the authority with "tls: ca".'
  throw invalid('/etc/ssl/certs/ca-certificates.crt', 'is not there: this system keeps no list of authorities', hint)
}

/** Node's own list stands for the version of TLS that the owner's says nothing of: else Node would turn that off. */
function ciphersOf(written: string): string {
  const standard = DEFAULT_CIPHERS.split(':')
  const own = written.split(':')
  const isNew = (name: string) => name.startsWith('TLS_')
  const tls13 = own.some(isNew) ? [] : standard.filter(isNew)
  const tls12 = own.every(isNew) ? standard.filter(name => !isNew(name)) : []
  return [...tls13, ...own, ...tls12].join(':')
}

/** With TLS 1.3, Node's client does not offer the key. Whoever knows it is the upstream: there is no certificate to verify. */
function pskOptions(identity: string, key: string, ciphers = PSK_CIPHERS): ConnectionOptions {
  return {
    maxVersion: 'TLSv1.2',
    ciphers,
    pskCallback: () => ({ identity, psk: Buffer.from(key, 'hex') }),
    checkServerIdentity: () => undefined,
  }
}

/** OpenSSL says here, and not in the middle of a connection, what it cannot use. */
function tryOut(options: ConnectionOptions, { cert, key }: UpstreamTls): void {
  try {
    createSecureContext(options)
  } catch (error) {
    if (systemCodeOf(error) === 'ERR_SSL_NO_CIPHER_MATCH') {
      throw invalid('tls', 'has ciphers that OpenSSL does not know', 'Compare "ciphers" with: openssl ciphers')
    }
    const files = [cert, key].filter(each => each !== undefined).join(' and ')
    throw invalid(files || 'tls', `cannot be used: ${reasonOf(error)}`, 'Do certificate and key belong together?')
  }
}

const CERTIFICATE = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]+-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g

function certificatesOf(text: string, file: string): string[] {
  const found = text.match(CERTIFICATE) ?? []
  try {
    for (const each of found) new X509Certificate(each)
  } catch (error) {
    throw invalid(file, `holds a certificate that cannot be read (${reasonOf(error)})`, 'Is the file whole?')
  }
  if (found.length === 0) {
    throw invalid(file, 'holds no certificate in PEM', 'It must have a line -----BEGIN CERTIFICATE-----.')
  }
  return found
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'latin1')
  } catch (error) {
    throw unreadable(file, error)
  }
}

function unreadable(file: string, error: unknown): LarderError {
  const code = systemCodeOf(error)
  if (code === 'ENOENT') return invalid(file, 'is not there', 'Check the paths below "tls".')
  return invalid(file, `cannot be read (${code ?? reasonOf(error)})`, 'May the gateway read it?')
}

function invalid(file: string, what: string, hint: string): LarderError {
  return new LarderError('CERTIFICATE_INVALID', `${file} ${what}`, { hint })
}
