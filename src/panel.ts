/**
 * The web page as a part of the gateway: opens it where the configuration says, and takes up another configuration while
 * it runs. Part of the composition root, with `main.ts`; what the page sees of the gateway is in `subject.ts`. The page's
 * own code is loaded only where there is one.
 */
import { isDeepStrictEqual } from 'node:util'
import type { AccessControl } from './access/control.ts'
import type { DashboardConfig } from './config/schema.ts'
import type { Broken, Dashboard } from './dashboard/dashboard.ts'
import type { Subject, Surroundings } from './dashboard/ports.ts'
import type { Clock } from './kernel/clock.ts'
import { reasonOf } from './kernel/errors.ts'
import type { Part } from './kernel/lifecycle.ts'
import type { Log } from './kernel/log.ts'
import { LogTail } from './kernel/log-tail.ts'
import { Certificates } from './listen/certificates.ts'

/** TLS of the page is as of a listener about which nothing more is said. */
const TLS_TERMS = { clientCertificates: 'none', minVersion: 'TLSv1.2', alpn: ['http/1.1'], pskHint: '' } as const

export interface PanelDependencies {
  settings: DashboardConfig
  /** Of `larder start`. Without it the gateway is a part of another program, which has a page only if it asks for one. */
  surroundings: Surroundings | undefined
  of: Subject | Broken
  discover: NonNullable<Surroundings['discover']>
  /** Reads a password file. Rejects with a LarderError when it cannot be used. */
  doorkeeper: (passwordFile: string) => Promise<AccessControl>
  /** The last lines of the log; the log of another program keeps none for us. */
  tail: LogTail | undefined
  clock: Clock
  log: Log
}

/** A page that is open. */
interface Open {
  readonly dashboard: Dashboard
  readonly certificates: Certificates | undefined
}

/** Settings that were found to be possible. Disposed of without a commit, they leave nothing behind. */
export interface PreparedPanel extends AsyncDisposable {
  commit(): Promise<void>
}

export class Panel implements Part {
  readonly name = 'web page'
  readonly #deps: PanelDependencies
  #settings: DashboardConfig
  #users: AccessControl | undefined
  #open: Open | undefined

  constructor(deps: PanelDependencies) {
    this.#deps = deps
    this.#settings = deps.settings
  }

  /** Rejects with a LarderError: LISTEN_* when the page cannot be served where its owner said, CONFIG_*, CERTIFICATE_INVALID. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#users = await this.#newUsers(this.#settings)
    this.#open = await this.#newPage(this.#settings, this.#users)
  }

  async stop(): Promise<void> {
    await close(this.#open)
  }

  /** Where the page is, if it is. */
  get address(): string | undefined {
    return this.#open?.dashboard.address
  }

  /** Reads and opens what other settings name, and changes nothing. Rejects as `start` does. */
  async prepare(settings: DashboardConfig): Promise<PreparedPanel> {
    const { users: file } = settings
    const isSameFile = this.#users !== undefined && file === this.#settings.users
    // The same file may say something else by now.
    const again = isSameFile ? await this.#users?.prepare() : undefined
    const users = isSameFile ? this.#users : await this.#newUsers(settings)
    const old = this.#open
    const stays = old !== undefined && isDeepStrictEqual(socketOf(this.#settings), socketOf(settings))
    const isFree = old === undefined || Number(new URL(old.dashboard.address).port) !== settings.listen?.port
    let page = stays || !isFree ? undefined : await this.#newPage(settings, users)
    return {
      commit: async () => {
        const isAnother = !isSameFile && file !== this.#settings.users
        this.#settings = settings
        this.#users = users
        const changed = again?.commit() ?? new Set()
        if (stays) {
          old.dashboard.terms = { names: settings.names, users: users ?? null }
          if (isAnother) old.dashboard.turnOut()
          else old.dashboard.logOut(user => changed.has(user) || users?.knows(user) !== true)
          return
        }
        this.#open = undefined
        await close(old)
        this.#open = isFree ? page : await this.#newPageLate(settings, users)
        page = undefined
      },
      async [Symbol.asyncDispose]() {
        await close(page)
      },
    }
  }

  #newUsers({ listen, users }: DashboardConfig): Promise<AccessControl | undefined> {
    if (listen === undefined || users === undefined) return Promise.resolve(undefined)
    return this.#deps.doorkeeper(users)
  }

  /** Undefined where there is to be none. An address that nobody has asked for may be taken: then it goes without. */
  async #newPage(settings: DashboardConfig, users: AccessControl | undefined): Promise<Open | undefined> {
    const { listen: place, isDefault, tls, names } = settings
    const { of, surroundings, tail = new LogTail(), clock, log } = this.#deps
    if (place === undefined || (isDefault && surroundings === undefined)) return undefined
    let dashboard: Dashboard | undefined
    const certificates =
      tls === undefined
        ? undefined
        : new Certificates({
            settings: { ...tls, ...TLS_TERMS },
            listener: 'web page',
            clock,
            log,
            onSwitch: options => dashboard?.renewTls(options),
          })
    try {
      await certificates?.open()
      const { Dashboard } = await import('./dashboard/dashboard.ts')
      dashboard = await Dashboard.open({
        place,
        tls: certificates?.options,
        terms: { names, users: users ?? null },
        of,
        surroundings: { discover: this.#deps.discover, ...surroundings },
        tail,
        clock,
        log,
      })
    } catch (error) {
      certificates?.close()
      if (!isDefault) throw error
      log.warn({ reason: reasonOf(error) }, 'there is no web page: dashboard.listen gives it another address')
      return undefined
    }
    log.info({ dashboard: dashboard.address }, 'the web page is open')
    return { dashboard, certificates }
  }

  /** The port was ours until now: it is too late to refuse. */
  async #newPageLate(settings: DashboardConfig, users: AccessControl | undefined): Promise<Open | undefined> {
    try {
      return await this.#newPage(settings, users)
    } catch (error) {
      this.#deps.log.error({ reason: reasonOf(error) }, 'the web page cannot be opened')
      return undefined
    }
  }
}

/** What is fixed when the socket is opened. */
function socketOf({ listen, tls }: DashboardConfig): object {
  return { listen, tls }
}

async function close(open: Open | undefined): Promise<void> {
  open?.certificates?.close()
  await open?.dashboard.close()
}
