/**
 * The one place that knows which source belongs to which kind of device. Packages with native parts are
 * not loaded here: each source brings its own in when it starts.
 */
import type { GpioDriver, GpioLineSettings, Source } from '../src/devices/ports.ts'
import type { Clock } from '../src/kernel/clock.ts'
import { GpioSource } from './gpio/gpio-source.ts'
import { MemoryGpioDriver } from './gpio/memory-driver.ts'
import { OnoffDriver } from './gpio/onoff-driver.ts'
import { type SerialSettings, SerialSource } from './serial/serial-source.ts'
import { type FileSettings, FileSource } from './sysfs/file-source.ts'
import type { ReadGate } from './sysfs/read-gate.ts'
import { type SystemSettings, SystemSource } from './sysfs/system-source.ts'

export interface GpioSettings extends GpioLineSettings {
  /** `auto` is the board's own: `onoff`. */
  readonly driver: 'auto' | 'onoff' | 'memory'
}

/** A device of any kind, as far as its source needs to know it. */
export type DeviceDescription =
  | { readonly kind: 'serial'; readonly settings: SerialSettings }
  | { readonly kind: 'gpio'; readonly settings: GpioSettings }
  | { readonly kind: 'file'; readonly settings: FileSettings }
  | { readonly kind: 'system'; readonly settings: SystemSettings }

export interface SourceDependencies {
  readonly clock: Clock
  /** One for all sources of a gateway: it bounds how many files are read at once. */
  readonly reads: ReadGate
  /** Used for every pin instead of the driver that its settings name. */
  readonly gpio?: GpioDriver | undefined
}

/** The source of a device, not yet started. */
export function openSource(device: DeviceDescription, { clock, reads, gpio }: SourceDependencies): Source {
  switch (device.kind) {
    case 'serial':
      return new SerialSource({ settings: device.settings, clock })
    case 'gpio': {
      const own = device.settings.driver === 'memory' ? new MemoryGpioDriver() : new OnoffDriver({ clock })
      return new GpioSource({ settings: device.settings, driver: gpio ?? own, clock })
    }
    case 'file':
      return new FileSource({ settings: device.settings, clock, gate: reads })
    case 'system':
      return new SystemSource({ settings: device.settings, clock })
  }
}
