/**
 * The certificates of one listener and the files that they come from. A change of a file is taken up by itself:
 *
 *   FileWatch says "look"  ->  read all files  ->  same fingerprint? nothing  ->  check them together  ->  switch
 *
 * What cannot be used changes nothing. A renewal that is half written looks like a bad file, so a fault is believed, and
 * told once, only when the same bad files are still there a little later.
 */
import type { SecureContextOptions } from 'node:tls'
import type { Clock, Timer } from '../kernel/clock.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import { FileWatch } from '../kernel/file-watch.ts'
import type { Log } from '../kernel/log.ts'
import type { CertificateInfo, ListenerTls, TlsSettings } from './ports.ts'
import { readTlsFiles, type TlsFiles } from './tls-files.ts'
import { makeTlsMaterial, type TlsMaterial } from './tls-material.ts'

/** Milliseconds that bad files must stay as they are before they are told about. Certbot writes its four within one. */
const SETTLE_TIME = 2_000

export interface CertificatesDependencies {
  readonly settings: TlsSettings
  /** Its address, for logs. */
  readonly listener: string
  readonly clock: Clock
  readonly log: Log
  /** Called with what new connections are to get from now on. */
  readonly onSwitch: (options: SecureContextOptions) => void
}

export class Certificates implements ListenerTls {
  readonly #deps: CertificatesDependencies
  readonly #log: Log
  readonly #watch: FileWatch
  #material: TlsMaterial | undefined
  /** Of the files in force. */
  #fingerprint = ''
  /** Bad files that were seen, and since when. */
  #suspect: { fingerprint: string; since: number } | undefined
  /** Bad files that the owner was told about. */
  #told: string | undefined
  #settling: Timer | undefined
  /** One look after the other. */
  #work: Promise<unknown> = Promise.resolve()
  #isClosed = false

  constructor(deps: CertificatesDependencies) {
    const { settings, listener, clock, log } = deps
    this.#deps = deps
    this.#log = log.child({ listener })
    const { cert, key, ca, crl, pskFile, caFolder } = settings
    this.#watch = new FileWatch({
      files: [cert, key, ca, crl, pskFile].filter(file => file !== undefined),
      folders: caFolder === undefined ? [] : [caFolder],
      clock,
      log: this.#log,
      onChange: () => void this.#next(() => this.#look()),
    })
  }

  /** Reads the files and begins to watch them. Rejects with a `LarderError` CERTIFICATE_INVALID, watching nothing. */
  async open(): Promise<void> {
    const { settings, clock } = this.#deps
    const files = await readTlsFiles(settings)
    this.#material = makeTlsMaterial(files, settings, clock.wall())
    this.#fingerprint = files.fingerprint
    this.#warn()
    await this.#watch.start()
    // What changed before it was watched.
    await this.#next(() => this.#look())
  }

  close(): void {
    this.#isClosed = true
    this.#settling?.cancel()
    this.#watch.close()
  }

  /** What a TLS server takes. */
  get options(): SecureContextOptions {
    return this.#opened.options
  }

  get certificates(): readonly CertificateInfo[] {
    return this.#opened.certificates
  }

  /** The pre-shared key of a client. */
  pskOf(identity: string): Buffer | undefined {
    return this.#opened.psk.get(identity)
  }

  async prepare(): Promise<() => void> {
    const { settings, clock } = this.#deps
    const files = await readTlsFiles(settings)
    makeTlsMaterial(files, settings, clock.wall())
    return () => {
      if (files.fingerprint !== this.#fingerprint && !this.#isClosed) this.#take(files)
    }
  }

  get #opened(): TlsMaterial {
    if (this.#material === undefined) throw new Error('the certificates were not read yet')
    return this.#material
  }

  #next(work: () => Promise<void>): Promise<void> {
    const done = this.#work.then(work)
    this.#work = done.catch(() => {})
    return done
  }

  async #look(): Promise<void> {
    const files = await readTlsFiles(this.#deps.settings)
    if (this.#isClosed) return
    if (files.fingerprint === this.#fingerprint) return this.#forgetFaults()
    if (files.fingerprint === this.#told) return
    try {
      this.#take(files)
    } catch (error) {
      this.#doubt(files.fingerprint, error)
    }
  }

  /** Puts files into force. Throws, and changes nothing, when they cannot be used. */
  #take(files: TlsFiles): void {
    const { settings, clock, onSwitch } = this.#deps
    const material = makeTlsMaterial(files, settings, clock.wall())
    onSwitch(material.options)
    this.#material = material
    this.#fingerprint = files.fingerprint
    this.#forgetFaults()
    const [own] = material.certificates
    this.#log.info(
      own === undefined ? {} : { serial: own.serialNumber, expires: new Date(own.expiresAt).toISOString() },
      'new files of TLS are in force: new connections get them, those that are open stay',
    )
    this.#warn()
  }

  #doubt(fingerprint: string, error: unknown): void {
    const now = this.#deps.clock.monotonic()
    if (this.#suspect?.fingerprint !== fingerprint) this.#suspect = { fingerprint, since: now }
    const rest = this.#suspect.since + SETTLE_TIME - now
    if (rest > 0) {
      this.#settling?.cancel()
      this.#settling = this.#deps.clock.after(rest, () => void this.#next(() => this.#look()))
      return
    }
    this.#told = fingerprint
    this.#log.error(
      { reason: error instanceof LarderError ? error.toLine() : reasonOf(error) },
      'files of TLS have changed and cannot be used: those from before stay in force',
    )
  }

  #forgetFaults(): void {
    this.#settling?.cancel()
    this.#suspect = undefined
    this.#told = undefined
  }

  #warn(): void {
    for (const warning of this.#opened.warnings) this.#log.warn({}, warning)
  }
}
