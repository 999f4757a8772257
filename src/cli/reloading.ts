/**
 * A reload: the configuration is read again and taken up by the running gateway, whole or not at all. Faults are said
 * and change nothing. Who asks while one is at work gets one more, since files may have changed again.
 */
import type { Fault } from '../config/load.ts'
import { faultLine } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { LarderError } from '../kernel/errors.ts'

export interface Reloadable {
  /** Rejects with a LarderError when a file cannot be used: nothing has changed then. Resolves to the settings that need a restart. */
  reload(config: Config): Promise<string[]>
}

export interface ReloadOutcome {
  /** The gateway is as the files say. */
  readonly ok: boolean
  /** What was said. */
  readonly lines: readonly string[]
}

export class Reloading {
  readonly #read: () => { config: Config } | { faults: Fault[] }
  readonly #say: (line: string) => void
  readonly #onTaken: ((config: Config) => void) | undefined
  #current: Promise<ReloadOutcome> | null = null
  #next: Promise<ReloadOutcome> | null = null

  /** `onTaken` is told a configuration that is in force now. */
  constructor(deps: {
    read: () => { config: Config } | { faults: Fault[] }
    say: (line: string) => void
    onTaken?: (config: Config) => void
  }) {
    this.#read = deps.read
    this.#say = deps.say
    this.#onTaken = deps.onTaken
  }

  /** Resolves when the files as they are now have been taken up, or it has been said why not. Never rejects. */
  reload(gateway: Reloadable): Promise<ReloadOutcome> {
    if (this.#current !== null) {
      this.#next ??= this.#current.then(() => {
        this.#next = null
        return this.reload(gateway)
      })
      return this.#next
    }
    this.#current = this.#once(gateway).finally(() => {
      this.#current = null
    })
    return this.#current
  }

  async #once(gateway: Reloadable): Promise<ReloadOutcome> {
    const lines: string[] = []
    const ok = await this.#tryOnce(gateway, lines)
    for (const line of lines) this.#say(line)
    return { ok, lines }
  }

  async #tryOnce(gateway: Reloadable, lines: string[]): Promise<boolean> {
    try {
      const read = this.#read()
      if ('faults' in read) {
        lines.push(...read.faults.map(faultLine))
        lines.push('larder: not reloaded: the configuration has faults, and the one in force goes on')
        return false
      }
      const fixed = await gateway.reload(read.config)
      this.#onTaken?.(read.config)
      lines.push('larder: reloaded')
      if (fixed.length > 0) lines.push(`larder: ${fixed.join(', ')}: a change counts from the next start`)
      return true
    } catch (error) {
      const text = error instanceof LarderError ? error.toLine() : String((error as Error)?.stack ?? error)
      lines.push(...text.split('\n').map(line => `larder: ${line}`))
      lines.push('larder: not reloaded: the configuration in force goes on')
      return false
    }
  }
}
