/**
 * The web page of a gateway, or of one that cannot run: joins what is shown, what may be done and who may, behind one HTTP
 * listener. The composition root loads this file only where there is to be a page.
 */
import type { SecureContextOptions } from 'node:tls'
import type { Clock, Timer } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import type { LogTail } from '../kernel/log-tail.ts'
import { Actions } from './actions.ts'
import type { ConfigFault, Hello } from './api.ts'
import { Api } from './api-routes.ts'
import { PageFiles, pageFolder } from './files.ts'
import { History, LOOK_MS } from './history.ts'
import { LiveTopics } from './live-topics.ts'
import { Logins } from './logins.ts'
import type { DashboardPlace, Subject, Surroundings, Users } from './ports.ts'
import { Sections } from './sections.ts'
import { DashboardServer } from './server.ts'
import { Streams } from './streams.ts'

/** A gateway that cannot run, and why. */
export interface Broken {
  readonly name: string
  readonly version: string
  readonly faults: readonly ConfigFault[]
}

export interface DashboardDependencies {
  place: DashboardPlace
  tls?: SecureContextOptions | undefined
  /** May change while it runs. */
  terms: { readonly names: readonly string[]; readonly users: Users | null }
  of: Subject | Broken
  surroundings: Surroundings
  tail: LogTail
  clock: Clock
  log: Log
  /** Where the page's files lie; by default beside the program. */
  folder?: string
}

export class Dashboard {
  /** Who may come, and by what names; the owner may change it. */
  terms: DashboardDependencies['terms']
  readonly #logins: Logins
  readonly #server: DashboardServer
  readonly #streams: Streams
  readonly #topics: LiveTopics | undefined
  readonly #actions: Actions | undefined
  readonly #lookAtNumbers: () => void
  #looking: Timer | undefined

  private constructor(deps: DashboardDependencies, files: PageFiles) {
    const { of, clock, log, surroundings, tail } = deps
    this.terms = deps.terms
    this.#logins = new Logins({ clock })
    const history = new History({ monotonic: () => clock.monotonic(), wall: () => clock.wall() })
    const subject = 'faults' in of ? undefined : of
    const sections = subject === undefined ? undefined : new Sections({ subject, history, clock })
    this.#topics =
      subject === undefined ? undefined : new LiveTopics({ listen: listener => subject.listen(listener), clock })
    this.#actions = subject === undefined ? undefined : new Actions({ subject, surroundings, clock, log })
    this.#lookAtNumbers = () => history.look(sections?.samples() ?? [])
    this.#streams = new Streams({
      scene: {
        hello: () => helloOf(of, files.build, clock),
        look: section => sections?.look(section),
        log: tail,
        topics: this.#topics,
      },
      clock,
    })
    const api = new Api({
      clock,
      log,
      logins: this.#logins,
      users: () => this.terms.users,
      isSecure: deps.tls !== undefined,
      streams: this.#streams,
      surroundings,
      running:
        subject === undefined || this.#actions === undefined ? undefined : { subject, history, actions: this.#actions },
    })
    this.#server = new DashboardServer({
      place: deps.place,
      tls: deps.tls,
      names: () => this.terms.names,
      files,
      api,
      log,
    })
  }

  /** Opens the page. Rejects with a LarderError LISTEN_* when its address cannot be used. */
  static async open(deps: DashboardDependencies): Promise<Dashboard> {
    const dashboard = new Dashboard(deps, await PageFiles.find(deps.folder ?? pageFolder()))
    await dashboard.#server.open()
    dashboard.#look()
    dashboard.#looking = deps.clock.every(LOOK_MS, () => dashboard.#look())
    return dashboard
  }

  #look(): void {
    this.#lookAtNumbers()
    this.#logins.sweep()
  }

  /** URL with the real port. */
  get address(): string {
    return this.#server.address()
  }

  /** New connections are made with this from now on. */
  renewTls(tls: SecureContextOptions): void {
    this.#server.renew(tls)
  }

  /** These must log in again. */
  logOut(isMeant: (user: string) => boolean): void {
    this.#logins.endWhere(isMeant)
  }

  /** Everybody must come in anew: it is another list that says who may. */
  turnOut(): void {
    this.#streams.stop()
    this.#logins.endWhere(() => true)
  }

  async close(): Promise<void> {
    this.#looking?.cancel()
    this.#streams.stop()
    this.#actions?.stop()
    this.#topics?.stop()
    await this.#server.close()
  }
}

function helloOf(of: Subject | Broken, build: string, clock: Clock): Hello {
  const { name, version } = of
  const common = { name, version, build, now: clock.wall() }
  if ('faults' in of) return { ...common, startedAt: 0, clockSynced: true, broken: of.faults, firstRun: false }
  return { ...common, startedAt: of.startedAt, clockSynced: of.isClockSynced(), firstRun: of.isFirstRun }
}
