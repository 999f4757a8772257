/** The guest's board: chips of gpio-sim, whose lines are pulled as a switch or a meter pulls them. Runs in the guest. */
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const CONFIG = '/sys/kernel/config/gpio-sim'

/** A simulated chip of `lines` lines. */
export class SimChip {
  readonly #name: string
  #lines = ''

  constructor(options: { name: string; label: string; lines: number }) {
    this.#name = options.name
    const bank = join(CONFIG, options.name, 'bank0')
    mkdirSync(join(CONFIG, options.name))
    mkdirSync(bank)
    writeFileSync(join(bank, 'num_lines'), `${options.lines}`)
    writeFileSync(join(bank, 'label'), options.label)
    this.plug()
  }

  plug(): void {
    writeFileSync(join(CONFIG, this.#name, 'live'), '1')
    const device = readFileSync(join(CONFIG, this.#name, 'dev_name'), 'utf8').trim()
    const chip = readFileSync(join(CONFIG, this.#name, 'bank0/chip_name'), 'utf8').trim()
    this.#lines = join('/sys/devices/platform', device, chip)
  }

  unplug(): void {
    writeFileSync(join(CONFIG, this.#name, 'live'), '0')
  }

  /** Puts a level on an input. */
  pull(line: number, level: boolean): void {
    appendFileSync(join(this.#lines, `sim_gpio${line}`, 'pull'), level ? 'pull-up' : 'pull-down')
  }

  /** The level that is on a line. */
  level(line: number): boolean {
    return readFileSync(join(this.#lines, `sim_gpio${line}`, 'value'), 'utf8').trim() === '1'
  }
}

export interface SysfsChip {
  label: string
  base: number
}

/** The chips that the kernel shows. */
export function sysfsChips(): SysfsChip[] {
  const root = '/sys/class/gpio'
  const read = (chip: string, file: string) => readFileSync(join(root, chip, file), 'utf8').trim()
  const chips = readdirSync(root).filter(name => /^gpiochip\d+$/.test(name))
  return chips.map(chip => ({ label: read(chip, 'label'), base: Number(read(chip, 'base')) }))
}

/** The kernel's answer to a plain number: undefined when it takes it. */
export function exportFault(number: number): string | undefined {
  try {
    writeFileSync('/sys/class/gpio/export', `${number}`)
    writeFileSync('/sys/class/gpio/unexport', `${number}`)
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
}
