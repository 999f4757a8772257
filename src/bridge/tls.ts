/**
 * TLS towards an upstream. The files are read for each connection: whoever renews a certificate need tell nobody, and a
 * connection that stands keeps what it began with. The upstream's certificate is always verified.
 */
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { type ConnectionOptions, createSecureContext } from 'node:tls'
import { LarderError, reasonOf, systemCodeOf } from '../kernel/errors.ts'
import type { UpstreamAddress, UpstreamTls } from './connection.ts'

/** What brokers with pre-shared keys have: OpenSSL's and mbed TLS' own names, forward secrecy first. */
const PSK_CIPHERS =
  'ECDHE-PSK-CHACHA20-POLY1305:ECDHE-PSK-AES128-CBC-SHA256:PSK-AES256-GCM-SHA384:PSK-AES128-GCM-SHA256'

/** Rejects with a `LarderError` CERTIFICATE_INVALID that names the file. */
export async function tlsOptionsOf(tls: UpstreamTls, { host }: UpstreamAddress): Promise<ConnectionOptions> {
  const { ca, cert, key, alpn = [], serverName, minVersion = 'TLSv1.2', checkName = true, pskIdentity, pskKey } = tls
  const name = serverName ?? host
  const options: ConnectionOptions = {
    minVersion,
    // [RFC 6066 §3] An address is no name.
    ...(isIP(name) === 0 ? { servername: name } : {}),
    // Node compares with this name when there is no server name.
    host: name,
    ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
    ...(checkName ? {} : { checkServerIdentity: () => undefined }),
    ...(pskIdentity === undefined || pskKey === undefined ? {} : pskOptions(pskIdentity, pskKey)),
  }
  if (ca !== undefined) options.ca = certificatesOf(await read(ca), ca)
  if (cert !== undefined) options.cert = certificatesOf(await read(cert), cert).join('\n')
  if (key !== undefined) options.key = await read(key)
  try {
    createSecureContext(options)
  } catch (error) {
    const files = [cert, key].filter(each => each !== undefined).join(' and ')
    throw invalid(files || 'tls', `cannot be used: ${reasonOf(error)}`, 'Do certificate and key belong together?')
  }
  return options
}

/** With TLS 1.3, Node's client does not offer the key. Whoever knows it is the upstream: there is no certificate to verify. */
function pskOptions(identity: string, key: string): ConnectionOptions {
  return {
    maxVersion: 'TLSv1.2',
    ciphers: PSK_CIPHERS,
    pskCallback: () => ({ identity, psk: Buffer.from(key, 'hex') }),
    checkServerIdentity: () => undefined,
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
    const code = systemCodeOf(error)
    if (code === 'ENOENT') throw invalid(file, 'is not there', 'Check the paths below "tls".')
    throw invalid(file, `cannot be read (${code ?? reasonOf(error)})`, 'May the gateway read it?')
  }
}

function invalid(file: string, what: string, hint: string): LarderError {
  return new LarderError('CERTIFICATE_INVALID', `${file} ${what}`, { hint })
}
