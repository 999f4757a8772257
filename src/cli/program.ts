/**
 * What the program that runs a gateway does for its web page: it knows the configuration file, and takes it up again.
 */
import { readFileSync } from 'node:fs'
import { type Fault, faultLine, type loadConfig } from '../config/load.ts'
import type { DashboardConfig } from '../config/schema.ts'
import { withoutSecrets } from '../config/secrets.ts'
import type { LarderError } from '../kernel/errors.ts'
import type { DoctorSubject, Examine, RunningGatewayState } from './doctor.ts'
import type { PageBackups, RunningStore } from './page-backup.ts'
import type { ReloadOutcome } from './reloading.ts'

export interface ShownFault {
  /** `larder.yaml:12:5` */
  readonly place: string
  readonly message: string
  readonly hint?: string
}

export class Program {
  /** Absolute; undefined: what is built in is in force. */
  readonly file: string | undefined
  readonly #read: () => ReturnType<typeof loadConfig>
  /** The file's text when it was taken up. */
  #taken: string | undefined

  /** Takes the file up. Set when the gateway is ready. */
  reload: () => Promise<ReloadOutcome> = async () => ({ ok: false, lines: ['the gateway is still starting'] })

  /** Set before the gateway runs. */
  backups: PageBackups | undefined
  /** A backup has come: it is time to begin anew. */
  readonly again: Promise<void>
  restart: () => void = () => {}
  /** The gateway was ready. */
  wasReady = false

  /** Where the page is to be, also while the configuration has faults. */
  readonly dashboard: () => DashboardConfig

  constructor(deps: {
    file: string | undefined
    read: () => ReturnType<typeof loadConfig>
    dashboard: () => DashboardConfig
  }) {
    this.dashboard = deps.dashboard
    this.file = deps.file
    this.#read = deps.read
    this.#taken = this.#text()
    this.again = new Promise(resolve => {
      this.restart = resolve
    })
  }

  /** The file was taken up as it is. */
  taken(): void {
    this.#taken = this.#text()
  }

  async config(): Promise<{ file?: string; text: string; changed: boolean }> {
    if (this.file === undefined) return { text: '', changed: false }
    const text = this.#text() ?? ''
    return { file: this.file, text: withoutSecrets(text), changed: text !== this.#taken }
  }

  async check(): Promise<ShownFault[]> {
    const result = this.#read()
    return 'faults' in result ? result.faults.map(shownFault) : []
  }

  /** What a doctor looks at. */
  subject(): Omit<DoctorSubject, 'running'> {
    const result = this.#read()
    return {
      config: 'config' in result ? result.config : undefined,
      faults: 'faults' in result ? result.faults.map(faultLine) : [],
      file: this.file ?? 'the built-in configuration',
    }
  }

  #text(): string | undefined {
    if (this.file === undefined) return undefined
    try {
      return readFileSync(this.file, 'utf8')
    } catch {
      return undefined
    }
  }
}

export interface SurroundingsDependencies {
  examine: Examine
  /** The gateway's, as JSON, when one runs. */
  status: () => string | undefined
  /** Of a gateway that runs. */
  store?: RunningStore
}

/** As the web page asks for it. */
export function surroundingsOf(program: Program, { examine, status, store }: SurroundingsDependencies) {
  return {
    isBare: program.file === undefined,
    reload: () => program.reload(),
    config: () => program.config(),
    check: () => program.check(),
    doctor: async () => {
      const now = status()
      const running = now === undefined ? undefined : (JSON.parse(now) as RunningGatewayState)
      const findings = []
      for await (const { grade, ...finding } of examine({ ...program.subject(), running })) {
        findings.push({ ...finding, state: grade })
      }
      return findings
    },
    ...(program.backups === undefined || store === undefined ? {} : backupsOf(program, program.backups, store)),
  }
}

function backupsOf(program: Program, backups: PageBackups, store: RunningStore) {
  return {
    backup: ({ withSecrets }: { withSecrets: boolean }) => backups.write(store, withSecrets),
    async restore(input: AsyncIterable<Uint8Array>, { withSecrets }: { withSecrets: boolean }) {
      await backups.receive(input, store, withSecrets)
      return () => program.restart()
    },
  }
}

/** A fault that was met only when the gateway was to start. */
export function shownError({ code, message, hint }: LarderError): ShownFault {
  return { place: code, message, ...(hint === undefined ? {} : { hint }) }
}

export function shownFault(fault: Fault): ShownFault {
  const { file, line, column, message } = fault
  const place = `${file}:${line}:${column}`
  return { place, message: faultLine(fault).slice(place.length + 2) || message }
}
