/**
 * The one place that knows which source belongs to which kind of device. Packages with native parts are
 * not loaded here: each source brings its own in when it starts.
 */
import type { GpioDriver, Source } from '../src/devices/ports.ts'
import type { Clock } from '../src/kernel/clock.ts'
import type { Log } from '../src/kernel/log.ts'
import { type GpioSettings, gpioSource } from './gpio/gpio-source.ts'
import type { PortClaims } from './serial/claims.ts'
import { type SerialSettings, SerialSource } from './serial/serial-source.ts'
import type { PortRoots } from './serial/usb.ts'
import { type FileSettings, FileSource } from './sysfs/file-source.ts'
import type { ReadGate } from './sysfs/read-gate.ts'
import { type SystemSettings, SystemSource } from './sysfs/system-source.ts'

/** A device of any kind, as far as its source needs to know it. */
export type DeviceDescription =
  | { readonly kind: 'serial'; readonly settings: SerialSettings; readonly name?: string | undefined }
  | { readonly kind: 'gpio'; readonly settings: GpioSettings }
  | { readonly kind: 'file'; readonly settings: FileSettings }
  | { readonly kind: 'system'; readonly settings: SystemSettings }

export interface SourceDependencies {
  readonly clock: Clock
  /** One for all sources of a gateway: it bounds how many files are read at once. */
  readonly reads: ReadGate
  /** One for all sources of a gateway: which of them has which serial port. */
  readonly ports?: PortClaims | undefined
  /** Used for every pin instead of the driver that its settings name. */
  readonly gpio?: GpioDriver | undefined
  /** In the place of /sys and /dev. */
  readonly machine?: PortRoots | undefined
  /** Told which driver a pin has. */
  readonly log?: Log | undefined
  /** The gateway's folder, where the counts of pulses are kept; without one they begin at 0. */
  readonly dataDir?: string | undefined
}

/** The source of a device, not yet started. */
export function openSource(device: DeviceDescription, dependencies: SourceDependencies): Source {
  const { clock, reads, ports, gpio, machine, log, dataDir } = dependencies
  switch (device.kind) {
    case 'serial':
      return new SerialSource({ settings: device.settings, name: device.name, claims: ports, roots: machine, clock })
    case 'gpio':
      return gpioSource(device.settings, { clock, driver: gpio, log, dataDir })
    case 'file':
      return new FileSource({ settings: device.settings, clock, gate: reads, root: machine?.sysfs })
    case 'system':
      return new SystemSource({ settings: device.settings, clock })
  }
}
