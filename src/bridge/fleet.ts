/** The bridges of a gateway, by their names. */
import type { Clock } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { Roster } from '../kernel/roster.ts'
import type { Bridge } from './bridge.ts'
import type { ConnectionSettings } from './connection.ts'
import type { DeadLetter } from './dead-letters.ts'
import { type BridgeBroker, type BridgeSettings, type BridgeState, SPOOL_CLIENT_PREFIX } from './ports.ts'

type Settings = BridgeSettings & ConnectionSettings

/** A bridge's state, with its name. */
export interface NamedState extends BridgeState {
  readonly name: string
}

export class Fleet {
  readonly #roster: Roster<Settings, Bridge>

  constructor(deps: {
    /** Name of the gateway. */
    gateway: string
    broker: BridgeBroker
    clock: Clock
    log: Log
    random: () => number
  }) {
    const { log } = deps
    this.#roster = new Roster<Settings, Bridge>({
      make: async settings => {
        // MQTT.js is large: it is loaded only when there is a bridge.
        const { Bridge } = await import('./bridge.ts')
        return new Bridge({ settings, ...deps })
      },
      onFault: (bridge, error) => log.error({ bridge, reason: reasonOf(error) }, 'a bridge did not do as it should'),
    })
  }

  /** Those that run. */
  get parts(): Bridge[] {
    return this.#roster.parts
  }

  async start(settings: readonly Settings[], signal: AbortSignal): Promise<void> {
    await this.#roster.start(byName(settings), signal)
  }

  /** Makes it so; those whose settings are the same go on, with new TLS files if there are any. */
  async apply(settings: readonly Settings[], signal: AbortSignal): Promise<void> {
    await this.#roster.apply(byName(settings), signal)
    await Promise.all(this.parts.map(bridge => bridge.renew()))
  }

  async stop(): Promise<void> {
    await this.#roster.stop()
  }

  states(): NamedState[] {
    return this.parts.map(bridge => ({ name: nameOf(bridge), ...bridge.state }))
  }

  /** What the upstream would not take, oldest first. Throws when there is no such bridge, as all that follow. */
  deadLetters(name: string): AsyncIterable<DeadLetter> {
    return this.#find(name).deadLetters()
  }

  /** Resolves with how many messages are sent again. */
  async retryDeadLetters(name: string): Promise<number> {
    return await this.#find(name).retryDeadLetters()
  }

  async pause(name: string): Promise<void> {
    await this.#find(name).pause()
  }

  async resume(name: string): Promise<void> {
    await this.#find(name).resume()
  }

  #find(name: string): Bridge {
    const found = this.parts.find(bridge => nameOf(bridge) === name)
    if (found !== undefined) return found
    const names = this.parts.map(nameOf).join(', ')
    throw new Error(
      `there is no bridge called ${JSON.stringify(name)}; ${names === '' ? 'there are none' : `there is ${names}`}`,
    )
  }
}

/** Client identifiers of the bridges' own spools. */
export function spoolsOf(settings: readonly Settings[]): Set<string> {
  return new Set(settings.map(({ name }) => SPOOL_CLIENT_PREFIX + name))
}

function byName(settings: readonly Settings[]): Map<string, Settings> {
  return new Map(settings.map(each => [each.name, each]))
}

function nameOf({ name }: Bridge): string {
  return name.replace(/^bridge /, '')
}
