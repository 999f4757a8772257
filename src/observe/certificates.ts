/**
 * When the certificates end that bridges show to their upstreams. A bridge reads its files for each connection, so what
 * counts is what the files say now: they are looked at every hour.
 */
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Clock, Timer } from '../kernel/clock.ts'
import type { CertificateFigures, CertificateFile } from './ports.ts'

/** Milliseconds between two looks: certificates last for days. */
const INTERVAL = 3_600_000

export class CertificateWatch {
  readonly #files: () => readonly CertificateFile[]
  readonly #clock: Clock
  #timer: Timer | undefined
  #found: readonly CertificateFigures[] = []

  constructor(deps: { files: () => readonly CertificateFile[]; clock: Clock }) {
    this.#files = deps.files
    this.#clock = deps.clock
  }

  start(): void {
    void this.read()
    this.#timer = this.#clock.every(INTERVAL, () => void this.read())
  }

  stop(): void {
    this.#timer?.cancel()
  }

  get certificates(): readonly CertificateFigures[] {
    return this.#found
  }

  /** Never rejects: a file that does not read is told by the bridge that needs it, and is not known here. */
  async read(): Promise<void> {
    const found = await Promise.all(
      this.#files().map(async ({ of, name, file }): Promise<CertificateFigures[]> => {
        try {
          return [{ of, name, expiresAt: Date.parse(new X509Certificate(await readFile(file)).validTo) }]
        } catch {
          return []
        }
      }),
    )
    this.#found = found.flat()
  }
}
