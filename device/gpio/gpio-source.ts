/** What a configured pin is: input, output or counter, and by which driver. */
import { join } from 'node:path'
import type { GpioDriver, GpioLineSettings, Source } from '../../src/devices/ports.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { type Log, silentLog } from '../../src/kernel/log.ts'
import { BoardDriver } from './board-driver.ts'
import { CountFile } from './count-file.ts'
import { CounterSource } from './counter-source.ts'
import { GpiodDriver } from './gpiod-driver.ts'
import { InputSource } from './input-source.ts'
import { MemoryGpioDriver } from './memory-driver.ts'
import { OnoffDriver } from './onoff-driver.ts'
import { OutputSource } from './output-source.ts'

/** Folder of the counts below the gateway's own. */
const COUNTS = 'counters'

/** A pin as it is configured. What belongs to another direction means nothing. */
export interface GpioSettings extends Omit<GpioLineSettings, 'direction'> {
  readonly direction: 'in' | 'out' | 'count'
  /** `auto` is the board's own: `onoff` or `gpiod`. */
  readonly driver: 'auto' | 'onoff' | 'gpiod' | 'memory'
  /** `in`: edges that are told of. `count`: edges that are pulses. */
  readonly edge: 'both' | 'rising' | 'falling'
  /** `out`: ms after which it goes off by itself. */
  readonly pulse: number | undefined
  /** `out`: what the stop of the gateway does with the level. */
  readonly atStop: 'keep' | 'on' | 'off'
  /** `count`: what one pulse is worth. */
  readonly perPulse: number
  /** `count`: ms between two reports. */
  readonly every: number
  /** `count`: ms between two writes of the count. */
  readonly save: number
}

export interface GpioDependencies {
  readonly clock: Clock
  readonly log?: Log | undefined
  /** Used instead of the driver that the settings name. */
  readonly driver?: GpioDriver | undefined
  /** The gateway's folder; without one counts begin at 0. */
  readonly dataDir?: string | undefined
}

/** The source of a pin, not yet started. */
export function gpioSource(settings: GpioSettings, { clock, log, driver, dataDir }: GpioDependencies): Source {
  const { direction } = settings
  const own = driver ?? driverOf(settings, { clock, log: log ?? silentLog })
  if (direction === 'out') return new OutputSource({ settings: { ...settings, direction }, driver: own, clock })
  const input = { ...settings, direction: 'in' as const }
  if (direction === 'in') return new InputSource({ settings: input, driver: own, clock })
  const file = dataDir === undefined ? undefined : new CountFile(join(dataDir, COUNTS, fileOf(settings)))
  return new CounterSource({ settings: input, driver: own, clock, file })
}

function driverOf({ driver, direction }: GpioSettings, { clock, log }: { clock: Clock; log: Log }): GpioDriver {
  switch (driver) {
    case 'memory':
      return new MemoryGpioDriver()
    case 'onoff':
      return new OnoffDriver({ clock })
    case 'gpiod':
      return new GpiodDriver({ clock })
    case 'auto':
      return new BoardDriver({
        onoff: new OnoffDriver({ clock }),
        gpiod: new GpiodDriver({ clock }),
        isCounter: direction === 'count',
        log,
      })
  }
}

/** A meter hangs on a pin whatever it is called: its count stays when it is given another name. */
function fileOf({ pin, chip }: GpioSettings): string {
  return `${chip === undefined ? 'gpio' : encodeURIComponent(chip)}-${pin}`
}
