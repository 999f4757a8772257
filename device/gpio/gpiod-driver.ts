/**
 * Pins through the kernel's character device and the tools of gpiod. The kernel stamps and keeps every edge, so that
 * fast pulses are all there: the driver for counters. Each pin is held by a process of its own.
 *
 * - An input is read before it is watched, because the watched one can be read by nobody; an edge between the two is
 *   noticed with the next edge. From then on its level follows from its edges.
 * - An output is set by ending the process that holds it and starting another; what the line does meanwhile, and when
 *   the gateway ends, is the chip's affair. Where sysfs is, `onoff` is better for outputs.
 */
import type { GpioDriver, GpioLine, GpioLineEvents, GpioLineSettings } from '../../src/devices/ports.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { LarderError, reasonOf } from '../../src/kernel/errors.ts'
import { chooseChip } from './chip.ts'
import { GpiodTools, type Holder, type ToolLine } from './gpiod-tools.ts'
import { titleOf } from './pin.ts'

export class GpiodDriver implements GpioDriver {
  readonly #clock: Clock
  readonly #find: (clock: Clock) => Promise<GpiodTools>

  /** @param options.find finds the tools, for tests */
  constructor(options: { clock: Clock; find?: (clock: Clock) => Promise<GpiodTools> }) {
    this.#clock = options.clock
    this.#find = options.find ?? (clock => GpiodTools.find(clock))
  }

  async isThere(): Promise<boolean> {
    return await this.#find(this.#clock).then(
      () => true,
      () => false,
    )
  }

  async open(settings: GpioLineSettings, events: GpioLineEvents): Promise<GpioLine> {
    const tools = await this.#find(this.#clock)
    const title = titleOf(settings)
    try {
      const { name } = chooseChip(await tools.chips(), settings)
      const line = { chip: name, line: settings.pin, pull: settings.pull, edges: electrical(settings) }
      return await (settings.direction === 'in' ? input : output)({ tools, line, settings, events, title })
    } catch (error) {
      throw explain(error, title)
    }
  }
}

/** The edge of the line that is the logical one. */
function electrical({ edges, activeLow }: GpioLineSettings): ToolLine['edges'] {
  if (edges === undefined || !activeLow) return edges
  return edges === 'rising' ? 'falling' : 'rising'
}

interface Opening {
  readonly tools: GpiodTools
  readonly line: ToolLine
  readonly settings: GpioLineSettings
  readonly events: GpioLineEvents
  readonly title: string
}

async function input({ tools, line, settings, events, title }: Opening): Promise<GpioLine> {
  const { activeLow } = settings
  let level = (await tools.level(line)) !== activeLow
  let failure: LarderError | undefined
  const holder = await tools.watch(line, edge => {
    level = edge.level !== activeLow
    events.changed(level, edge.at)
  })
  const state = watchOver(holder, title, reason => {
    failure = reason
    events.lost(reason.message)
  })
  return {
    read: async () => {
      if (failure !== undefined) throw failure
      return level
    },
    write: () => Promise.reject(new LarderError('DEVICE_FAILED', `${title} is an input.`)),
    close: () => state.close(),
  }
}

async function output({ tools, line, settings, events, title }: Opening): Promise<GpioLine> {
  const { activeLow, initial } = settings
  let level = initial ?? (tools.major === 2 && (await tools.level(line, { asIs: true })) !== activeLow)
  let failure: LarderError | undefined
  const hold = async () =>
    watchOver(await tools.drive(line, level !== activeLow), title, reason => {
      failure = reason
      events.lost(reason.message)
    })
  let state = await hold()
  return {
    read: async () => {
      if (failure !== undefined) throw failure
      return level
    },
    write: async wanted => {
      if (failure !== undefined) throw failure
      if (wanted === level) return
      await state.close()
      level = wanted
      try {
        state = await hold()
      } catch (error) {
        throw explain(error, title)
      }
    },
    close: () => state.close(),
  }
}

/** Tells when the process ends without having been closed. */
function watchOver(holder: Holder, title: string, lost: (reason: LarderError) => void): { close(): Promise<void> } {
  let isClosed = false
  void holder.ended.then(complaint => {
    if (!isClosed) lost(explain(new Error(complaint), title))
  })
  return {
    close: async () => {
      isClosed = true
      await holder.end()
    },
  }
}

function explain(error: unknown, title: string): LarderError {
  if (error instanceof LarderError) return error
  const reason = reasonOf(error)
  if (/busy/i.test(reason)) {
    return new LarderError('DEVICE_FAILED', `${title} is held by another program or driver.`, {
      hint: '`gpioinfo` names it; an overlay in config.txt (1-Wire, SPI, I2C, LED) also takes pins.',
      cause: error,
    })
  }
  if (/permission denied/i.test(reason)) {
    return new LarderError('DEVICE_FAILED', `This user may not use ${title}.`, {
      hint: 'Put the user into the group `gpio` and start Larder again; give a container the device /dev/gpiochip….',
      cause: error,
    })
  }
  return new LarderError('DEVICE_FAILED', `${title} fails: ${reason}.`, { cause: error })
}
