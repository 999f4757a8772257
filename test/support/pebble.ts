/**
 * A certificate authority that speaks ACME as Let's Encrypt does, and the client that owners use with it: Debian's
 * `pebble` with its DNS server that answers 127.0.0.1 to every name, and Debian's `certbot`. Everything on loopback, every
 * file in one folder; nothing of the machine is touched. The authority checks for real: it fetches the challenge.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { get } from 'node:https'
import { join } from 'node:path'
import { Authority } from './certificates.ts'
import { freePort } from './free-port.ts'
import { Process, run } from './process.ts'
import { until } from './wait.ts'

/** Deadline in ms: certbot is Python, and loads for seconds on a small machine. */
const CERTBOT_TIMEOUT = 60_000

interface Ports {
  readonly acme: number
  readonly management: number
  /** Where certbot answers the challenge. */
  readonly http: number
  readonly dns: number
}

export class Pebble implements AsyncDisposable {
  readonly #folder: string
  readonly #ports: Ports
  /** Signs pebble's own HTTPS. */
  readonly #authority: Authority
  readonly #processes: Process[] = []

  /** Use `Pebble.start`. */
  constructor(folder: string, ports: Ports, authority: Authority) {
    this.#folder = folder
    this.#ports = ports
    this.#authority = authority
  }

  /** Starts it with everything in `folder`. */
  static async start(folder: string): Promise<Pebble> {
    const ports = {
      acme: await freePort(),
      management: await freePort(),
      http: await freePort(),
      dns: await freePort(),
    }
    const pebble = new Pebble(folder, ports, await Authority.make(folder, 'acme'))
    try {
      await pebble.#start()
      return pebble
    } catch (error) {
      await pebble[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Gets a first certificate for `name`. Resolves to the folder in which it lives, `live/NAME`. */
  async issue(name: string): Promise<string> {
    const standalone = ['--standalone', '--http-01-port', String(this.#ports.http), '--http-01-address', '127.0.0.1']
    await this.#certbot('certonly', ...standalone, '--key-type', 'ecdsa', '-d', name)
    return join(this.#folder, 'letsencrypt/live', name)
  }

  /** What certbot's timer does twice a day, here though it is not due. */
  async renew(): Promise<void> {
    await this.#certbot('renew', '--force-renewal', '--no-random-sleep-on-renew', '--no-directory-hooks')
  }

  /** The root that its certificates go back to, PEM. */
  async root(): Promise<string> {
    return await new Promise((resolve, reject) => {
      const url = `https://127.0.0.1:${this.#ports.management}/roots/0`
      // Over loopback, to a process of our own: who it is was settled when it was started.
      get(url, { rejectUnauthorized: false }, response => {
        let text = ''
        response.setEncoding('utf8').on('data', chunk => {
          text += chunk
        })
        response.on('end', () => resolve(text))
      }).on('error', reject)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes) await process[Symbol.asyncDispose]()
  }

  async #start(): Promise<void> {
    const { acme, management, http, dns } = this.#ports
    const { cert, key } = await this.#authority.server()
    const config = join(this.#folder, 'pebble.json')
    const pebble = {
      listenAddress: `127.0.0.1:${acme}`,
      managementListenAddress: `127.0.0.1:${management}`,
      certificate: cert,
      privateKey: key,
      httpPort: http,
      tlsPort: 0,
      ocspResponderURL: '',
      externalAccountBindingRequired: false,
    }
    await mkdir(this.#folder, { recursive: true })
    await writeFile(config, JSON.stringify({ pebble }))
    const names = ['-dns01', `127.0.0.1:${dns}`, '-defaultIPv4', '127.0.0.1', '-defaultIPv6', '']
    const nothingElse = [
      '-http01',
      '',
      '-https01',
      '',
      '-tlsalpn01',
      '',
      '-management',
      `127.0.0.1:${await freePort()}`,
    ]
    this.#processes.push(new Process('pebble-challtestsrv', [...names, ...nothingElse]))
    // By default it waits some seconds before each check, and refuses a part of the requests to harden clients.
    const env = { PEBBLE_VA_NOSLEEP: '1', PEBBLE_WFE_NONCEREJECT: '0' }
    this.#processes.push(new Process('pebble', ['-config', config, '-dnsserver', `127.0.0.1:${dns}`], { env }))
    await until(() => this.root().catch(() => undefined), { what: () => `pebble\n${this.#transcript()}` })
  }

  async #certbot(command: string, ...args: string[]): Promise<void> {
    const at = (name: string) => join(this.#folder, name)
    const result = await run(
      'certbot',
      [
        ...[command, '--non-interactive', '--agree-tos', '--register-unsafely-without-email'],
        ...['--server', `https://127.0.0.1:${this.#ports.acme}/dir`],
        ...['--config-dir', at('letsencrypt'), '--work-dir', at('work'), '--logs-dir', at('logs'), ...args],
      ],
      { env: { REQUESTS_CA_BUNDLE: this.#authority.cert }, timeout: CERTBOT_TIMEOUT },
    )
    if (result.code !== 0) {
      throw new Error(`certbot: ${[...result.lines, ...result.errors].join('\n')}\n${this.#transcript()}`)
    }
  }

  #transcript(): string {
    return this.#processes.map(process => process.transcript()).join('\n')
  }
}
