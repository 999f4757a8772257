/**
 * From the files of TLS to what Node's TLS takes, checked before it is used: every certificate reads, the key belongs to
 * its certificate, OpenSSL takes all of it together. Each fault names the file and what to do about it.
 */
import { createPrivateKey, constants as crypto, type KeyObject, X509Certificate } from 'node:crypto'
import { createSecureContext, DEFAULT_CIPHERS, type SecureContextOptions } from 'node:tls'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import { subjectOf } from './identity.ts'
import type { CertificateInfo, TlsSettings } from './ports.ts'
import { parsePskFile } from './psk.ts'
import type { ReadFile, TlsFiles } from './tls-files.ts'

const CERTIFICATE = /-----BEGIN (?:X509 )?CERTIFICATE-----[^-]+-----END (?:X509 )?CERTIFICATE-----/g
const CRL = /-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/
const PRIVATE_KEY = /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/
const ENCRYPTED = /-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED/

/** Suites with forward secrecy first; what small devices have (mbed TLS, wolfSSL) is among them. */
const PSK_CIPHERS = [
  'ECDHE-PSK-CHACHA20-POLY1305',
  'ECDHE-PSK-AES256-CBC-SHA384',
  'ECDHE-PSK-AES128-CBC-SHA256',
  'PSK-AES256-GCM-SHA384',
  'PSK-CHACHA20-POLY1305',
  'PSK-AES128-GCM-SHA256',
  'PSK-AES256-CBC-SHA384',
  'PSK-AES128-CBC-SHA256',
]

export interface TlsMaterial {
  readonly options: SecureContextOptions
  /** Keys by their identity. */
  readonly psk: ReadonlyMap<string, Buffer>
  readonly certificates: readonly CertificateInfo[]
  /** What its owner should know, and what does not keep it from being used. */
  readonly warnings: readonly string[]
}

/** Throws a `LarderError` CERTIFICATE_INVALID. `now` is wall time. */
export function makeTlsMaterial(read: TlsFiles, settings: TlsSettings, now: number): TlsMaterial {
  const warnings: string[] = []
  const options: SecureContextOptions = { ...baseOptions(settings) }
  const certificates: CertificateInfo[] = []
  const { cert, key, ca, crl, pskFile } = read.files
  if (cert !== undefined && key !== undefined) {
    const [leaf] = certificatesIn(cert) as [X509Certificate]
    checkKey(leaf, cert, key)
    options.cert = textOf(cert)
    options.key = textOf(key)
    certificates.push(infoOf(leaf, cert))
    if (Date.parse(leaf.validFrom) > now) {
      warnings.push(`${cert.path} is not valid before ${leaf.validFrom}: clients refuse it until then`)
    }
  }
  const authorities: string[] = []
  if (ca !== undefined) {
    const found = certificatesIn(ca)
    authorities.push(...found.map(String))
    certificates.push(...found.map(certificate => infoOf(certificate, ca)))
  }
  if (settings.caFolder !== undefined) authorities.push(...folderAuthorities(read.folder, settings.caFolder, warnings))
  // A hashed name is a link to another file of the folder.
  if (authorities.length > 0) options.ca = [...new Set(authorities)]
  if (crl !== undefined) options.crl = crlIn(crl)
  const psk = pskFile === undefined ? new Map<string, Buffer>() : pskKeysIn(pskFile)
  if (pskFile !== undefined && psk.size === 0)
    warnings.push(`${pskFile.path} holds no key: nobody can come in with one`)
  for (const { file, subject, expiresAt } of certificates) {
    if (expiresAt <= now) warnings.push(`${file}: ${subject} has expired on ${new Date(expiresAt).toISOString()}`)
  }
  tryOut(options, settings)
  return { options, psk, certificates, warnings }
}

function baseOptions(settings: TlsSettings): SecureContextOptions {
  const { pskFile, minVersion } = settings
  if (pskFile !== undefined && minVersion === 'TLSv1.3') {
    throw new LarderError('CERTIFICATE_INVALID', `${pskFile}: pre-shared keys need TLS 1.2.`, {
      hint: 'Leave out min_version, or give clients with pre-shared keys a listener of their own.',
    })
  }
  // In TLS 1.3, and in a resumed session, who has come with which key cannot be known from Node.
  const hasPsk = pskFile !== undefined
  return {
    minVersion,
    maxVersion: hasPsk ? 'TLSv1.2' : 'TLSv1.3',
    ciphers: ciphersOf(settings),
    honorCipherOrder: true,
    secureOptions: crypto.SSL_OP_NO_RENEGOTIATION | (hasPsk ? crypto.SSL_OP_NO_TICKET : 0),
  }
}

/** Node's own lists stand where the owner gave none: with one of the two left empty, Node would turn that version off. */
function ciphersOf({ ciphers, ciphersTls13, cert, pskFile }: TlsSettings): string {
  const standard = DEFAULT_CIPHERS.split(':')
  const tls13 = ciphersTls13?.split(':') ?? standard.filter(name => name.startsWith('TLS_'))
  const others = standard.filter(name => !name.startsWith('TLS_'))
  const withPsk = [...PSK_CIPHERS, ...(cert === undefined ? [] : others.filter(name => name !== '!PSK'))]
  const tls12 = ciphers?.split(':') ?? (pskFile === undefined ? others : withPsk)
  return [...tls13, ...tls12].join(':')
}

function checkKey(leaf: X509Certificate, cert: ReadFile, file: ReadFile): void {
  const text = textOf(file)
  if (ENCRYPTED.test(text)) {
    throw invalid(
      file,
      'is encrypted, and there is nobody to ask for its password',
      `Decrypt it with: openssl pkey -in ${file.path} -out ${file.path}.plain (and chmod 600 that file).`,
    )
  }
  if (!PRIVATE_KEY.test(text)) {
    throw invalid(file, 'holds no private key in PEM', 'It must have a line -----BEGIN PRIVATE KEY-----.')
  }
  let key: KeyObject
  try {
    key = createPrivateKey(text)
  } catch (error) {
    throw invalid(file, `cannot be read as a private key (${reasonOf(error)})`, 'Is it whole?', error)
  }
  if (!leaf.checkPrivateKey(key)) {
    throw invalid(
      file,
      `does not belong to the certificate ${cert.path}`,
      'The two must have been made together; in a chain, the own certificate must come first.',
    )
  }
}

/** At least one. */
function certificatesIn(file: ReadFile): X509Certificate[] {
  const text = textOf(file)
  const blocks = text.match(CERTIFICATE) ?? []
  if (blocks.length === 0) {
    const isDer = text.startsWith('\x30\x82')
    const convert = `openssl x509 -inform der -in ${file.path} -out ${file.path}.pem`
    throw invalid(
      file,
      'holds no certificate in PEM',
      isDer ? `It looks like DER; convert it with: ${convert}` : 'It must have a line -----BEGIN CERTIFICATE-----.',
    )
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block)
    } catch (error) {
      throw invalid(
        file,
        `has a certificate (number ${index + 1}) that cannot be read (${reasonOf(error)})`,
        'Is it whole?',
      )
    }
  })
}

function folderAuthorities(folder: readonly ReadFile[], path: string, warnings: string[]): string[] {
  const [first] = folder
  if (first?.path === path) textOf(first)
  const found = folder.flatMap(file => {
    try {
      return certificatesIn(file).map(String)
    } catch (error) {
      warnings.push(`left out: ${reasonOf(error)}`)
      return []
    }
  })
  if (found.length > 0) return found
  throw invalid({ path }, 'holds no certificate', 'Its files must be PEM and be called *.pem, *.crt or 0123abcd.0.')
}

function crlIn(file: ReadFile): string {
  const text = textOf(file)
  if (!CRL.test(text)) {
    const convert = `openssl crl -inform der -in ${file.path} -out ${file.path}.pem`
    throw invalid(file, 'holds no revocation list in PEM', `If it is DER, convert it with: ${convert}`)
  }
  return text
}

function pskKeysIn(file: ReadFile): Map<string, Buffer> {
  return parsePskFile(Buffer.from(textOf(file), 'latin1').toString(), file.path)
}

/** OpenSSL has the last word: it knows which lists of ciphers mean something, and which keys are too weak. */
function tryOut(options: SecureContextOptions, settings: TlsSettings): void {
  try {
    createSecureContext(options)
  } catch (error) {
    const reason = reasonOf(error)
    if (/cipher/i.test(reason)) {
      const written = [settings.ciphers, settings.ciphersTls13].filter(list => list !== undefined).join(' and ')
      throw new LarderError('CERTIFICATE_INVALID', `OpenSSL does not know the ciphers ${written} (${reason}).`, {
        hint: 'Compare them with what "openssl ciphers -v" lists, or leave them out.',
        cause: error,
      })
    }
    const [file] = (['cert', 'key', 'ca', 'crl'] as const).flatMap(key => settings[key] ?? [])
    throw invalid({ path: file ?? 'TLS' }, `is refused by OpenSSL (${reason})`, 'Is every file whole?', error)
  }
}

/** What to do about the system's faults. */
const FAULTS: Readonly<Record<string, readonly [what: string, hint: string]>> = {
  ENOENT: ['does not exist', 'Check the path; with certbot it is /etc/letsencrypt/live/NAME/….'],
  ENOTDIR: ['does not exist', 'Check the path: a part of it is a file, not a folder.'],
  EACCES: [
    'may not be read by the user that Larder runs as',
    'Give that user (or its group) the right; every folder on the way to the file needs it too.',
  ],
  EISDIR: ['is a folder', 'Give the file; a folder of authorities is given as ca_folder.'],
  ENOTFILE: ['is no ordinary file', 'Give a file with PEM in it.'],
  EFBIG: ['is far too large', 'Give a file with nothing but PEM in it.'],
  ELOOP: ['is a link that leads round in a circle', 'Check where it points.'],
}

function textOf(file: ReadFile): string {
  if (file.text !== undefined) return file.text
  const [what, hint] = FAULTS[file.fault ?? ''] ?? [`cannot be read (${file.fault})`, 'Check the file and its disk.']
  throw invalid(file, what, hint)
}

function invalid(file: ReadFile, what: string, hint: string, cause?: unknown): LarderError {
  return new LarderError('CERTIFICATE_INVALID', `${file.path} ${what}.`, { hint, cause })
}

function infoOf(certificate: X509Certificate, file: ReadFile): CertificateInfo {
  return {
    file: file.path,
    subject: subjectOf(certificate),
    serialNumber: certificate.serialNumber,
    expiresAt: Date.parse(certificate.validTo),
  }
}
