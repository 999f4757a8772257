/**
 * The web page of a gateway that cannot run: it says why. Part of the composition root, with `main.ts`. It is served
 * where the configuration wants it, as far as that can be read, and to the same people.
 */
import { discover } from '../device/discovery.ts'
import { throttleFor } from './access/access.ts'
import { Checks } from './access/checks.ts'
import { AccessControl } from './access/control.ts'
import type { DashboardConfig } from './config/schema.ts'
import type { ConfigFault } from './dashboard/api.ts'
import type { Surroundings } from './dashboard/ports.ts'
import { systemClock } from './kernel/clock.ts'
import type { OwnLog } from './kernel/log.ts'
import { Panel } from './panel.ts'

export interface Explanation {
  /** Undefined: the owner wants no page, or nothing listens there. */
  readonly address: string | undefined
  /** From now on these are what is wrong. */
  tell(faults: readonly ConfigFault[]): void
  close(): Promise<void>
}

/** Opens the page. Rejects with a LarderError when it cannot be served where its owner said. */
export async function explain(options: {
  settings: DashboardConfig
  name: string
  version: string
  faults: readonly ConfigFault[]
  surroundings: Surroundings
  log: OwnLog
  signal: AbortSignal
}): Promise<Explanation> {
  const { settings, name, version, surroundings, log, signal } = options
  const clock = systemClock
  const throttle = throttleFor({ clock, log })
  const of = { name, version, faults: options.faults }
  const panel = new Panel({
    settings,
    surroundings,
    of,
    discover: async () => {
      const { ports, sensors, chips } = await discover()
      const fresh = (found: typeof ports) => found.map(each => ({ ...each, used: false }))
      return { ports: fresh(ports), sensors: fresh(sensors), chips: fresh(chips) }
    },
    doorkeeper: async passwordFile => {
      const rest = { aclFile: undefined, allowAnonymous: false, grantEverySubscription: false }
      const access = new AccessControl({
        settings: { passwordFile, ...rest },
        log,
        clock,
        throttle,
        checks: new Checks(),
      })
      await access.start()
      return access
    },
    tail: log.tail,
    clock,
    log,
  })
  await panel.start(signal)
  return {
    address: panel.address,
    tell: faults => {
      of.faults = faults
    },
    close: async () => {
      throttle.stop()
      await panel.stop()
    },
  }
}
