/**
 * A reload: the configuration is read again and taken up by the running gateway, whole or not at all. Faults are printed
 * and change nothing. Signals that come while one is at work bring one more, since files may have changed again.
 */
import type { Fault } from '../config/load.ts'
import { faultLine } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { LarderError } from '../kernel/errors.ts'

export interface Reloadable {
  /** Rejects with a LarderError when a file cannot be used: nothing has changed then. Resolves to the settings that need a restart. */
  reload(config: Config): Promise<string[]>
}

export class Reloading {
  readonly #read: () => { config: Config } | { faults: Fault[] }
  readonly #say: (line: string) => void
  #isBusy = false
  #isAsked = false

  constructor(deps: { read: () => { config: Config } | { faults: Fault[] }; say: (line: string) => void }) {
    this.#read = deps.read
    this.#say = deps.say
  }

  /** Resolves when the gateway is as the files say, or it has been said why not. Never rejects. */
  async reload(gateway: Reloadable): Promise<void> {
    this.#isAsked = true
    if (this.#isBusy) return
    this.#isBusy = true
    while (this.#isAsked) {
      this.#isAsked = false
      await this.#once(gateway)
    }
    this.#isBusy = false
  }

  async #once(gateway: Reloadable): Promise<void> {
    try {
      const read = this.#read()
      if ('faults' in read) {
        for (const fault of read.faults) this.#say(faultLine(fault))
        this.#say('larder: not reloaded: the configuration has faults, and the one in force goes on')
        return
      }
      const fixed = await gateway.reload(read.config)
      this.#say('larder: reloaded')
      if (fixed.length > 0) this.#say(`larder: ${fixed.join(', ')}: a change counts from the next start`)
    } catch (error) {
      const lines = error instanceof LarderError ? error.toLine() : String((error as Error)?.stack ?? error)
      for (const line of lines.split('\n')) this.#say(`larder: ${line}`)
      this.#say('larder: not reloaded: the configuration in force goes on')
    }
  }
}
