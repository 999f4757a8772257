/** `larder devices list`: what is plugged into this machine, with the lines to copy into `larder.yaml`. */
import { type Command, EXIT_DONE, type Io } from './larder.ts'

export interface FoundDevice {
  readonly what: string
  readonly config: string
}

/** What is there, by kind. */
export type DiscoverDevices = () => Promise<{
  readonly ports: readonly FoundDevice[]
  readonly sensors: readonly FoundDevice[]
  readonly chips: readonly FoundDevice[]
}>

export function devicesListCommand({ discover }: { discover: DiscoverDevices }): Command {
  return {
    summary: 'show the serial ports, sensors and pins of this machine, ready to copy',
    examples: [['larder devices list', 'each with its lines for larder.yaml']],
    flags: {},
    async run(_flags, io) {
      const { ports, sensors, chips } = await discover()
      print(io, 'Serial ports', ports, 'none: is the adapter plugged in, and is this container given its device?')
      print(io, 'Sensors that the kernel drives', sensors, 'none: 1-Wire and I2C need their overlay in config.txt')
      print(io, 'Chips with pins', chips, 'none')
      return EXIT_DONE
    },
  }
}

function print(io: Io, title: string, found: readonly FoundDevice[], none: string): void {
  io.stdout(`${title}:`)
  if (found.length === 0) io.stdout(`  ${none}`)
  for (const { what, config } of found) {
    io.stdout(`  ${what}`)
    io.stdout(`    ${config}`)
  }
}
