/**
 * Certificate authorities of a test, made with the openssl of the machine in a folder of the test's own: they sign what
 * they are asked to, also what has expired, take it back, and publish whom they took back.
 */

import { X509Certificate } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './process.ts'

export interface Pair {
  /** Paths of PEM files. */
  readonly cert: string
  readonly key: string
}

export interface IssueOptions {
  /** As `openssl -subj` takes it: `/O=Home/CN=lamp`. */
  subject?: string
  /** Alternative names: `IP:127.0.0.1`, `DNS:localhost`. None for a client. */
  names?: readonly string[]
  /** Expired since yesterday. */
  expired?: boolean
  /** Valid from tomorrow on. */
  early?: boolean
  /** Days that it is valid. */
  days?: number
}

const LOOPBACK_NAMES = ['IP:127.0.0.1', 'DNS:localhost']
/** What openssl lets through into a certificate. */
const SUBJECT_FIELDS = [
  'countryName',
  'domainComponent',
  'organizationName',
  'organizationalUnitName',
  'commonName',
  'userId',
  'emailAddress',
]
const DAY = 86_400_000

/** Runs openssl; what it printed. */
export async function openssl(...args: string[]): Promise<string> {
  const { code, lines, errors } = await run('openssl', args)
  if (code !== 0) throw new Error(`openssl ${args.join(' ')}: ${errors.join('\n')}`)
  return lines.join('\n')
}

export class Authority {
  readonly folder: string
  #count = 0

  /** Use `Authority.make`. */
  constructor(folder: string) {
    this.folder = folder
  }

  /** An authority called `name` with everything it has in `folder`/`name`. */
  static async make(folder: string, name: string): Promise<Authority> {
    const authority = new Authority(join(folder, name))
    await mkdir(join(authority.folder, 'issued'), { recursive: true })
    const { cert, key, folder: own } = authority
    await writeFile(join(own, 'index.txt'), '')
    await writeFile(
      join(own, 'ca.cnf'),
      [
        '[ca]',
        'default_ca = home',
        '[home]',
        `dir = ${own}`,
        'database = $dir/index.txt',
        'new_certs_dir = $dir/issued',
        'rand_serial = yes',
        `certificate = ${cert}`,
        `private_key = ${key}`,
        'default_md = sha256',
        'default_days = 90',
        'default_crl_days = 30',
        'policy = any',
        'preserve = yes',
        'unique_subject = no',
        'copy_extensions = copy',
        '[any]',
        ...SUBJECT_FIELDS.map(field => `${field} = optional`),
      ].join('\n'),
    )
    await openssl(
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '3650'],
      ...['-subj', `/CN=${name}`, '-keyout', key, '-out', cert],
      ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
    )
    await authority.publish()
    return authority
  }

  get cert(): string {
    return join(this.folder, 'ca.pem')
  }

  get key(): string {
    return join(this.folder, 'ca.key')
  }

  /** The list of those taken back. */
  get crl(): string {
    return join(this.folder, 'crl.pem')
  }

  /** A certificate for a server on this machine. */
  async server(options: IssueOptions = {}): Promise<Pair> {
    return await this.issue({ subject: '/CN=localhost', names: LOOPBACK_NAMES, ...options })
  }

  async issue(options: IssueOptions = {}): Promise<Pair> {
    const { subject = '/CN=client', names = [], expired = false, early = false, days = 90 } = options
    const path = join(this.folder, `${++this.#count}`)
    const pair = { cert: `${path}.crt`, key: `${path}.key` }
    await openssl(
      ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-utf8'],
      ...['-subj', subject, '-keyout', pair.key, '-out', `${path}.csr`],
      ...(names.length === 0 ? [] : ['-addext', `subjectAltName=${names.join(',')}`]),
    )
    const [start, end] = early ? [DAY, 3 * DAY] : [-3 * DAY, -DAY]
    const times = early || expired ? ['-startdate', at(start), '-enddate', at(end)] : ['-days', String(days)]
    await this.#ca('-notext', '-in', `${path}.csr`, '-out', pair.cert, ...times)
    return pair
  }

  /** Takes a certificate back and publishes the list. */
  async revoke(cert: string): Promise<void> {
    await this.#ca('-revoke', cert)
    await this.publish()
  }

  /** Writes the list of those taken back. */
  async publish(): Promise<void> {
    await this.#ca('-gencrl', '-out', this.crl)
  }

  async #ca(...args: string[]): Promise<void> {
    await openssl('ca', '-batch', '-config', join(this.folder, 'ca.cnf'), ...args)
  }
}

/** Serial number of the first certificate in a PEM file, as Node writes it. */
export async function serialOf(file: string): Promise<string> {
  return new X509Certificate(await readFile(file)).serialNumber
}

function at(offset: number): string {
  return `${new Date(Date.now() + offset).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`
}
