/**
 * The command-line tools of libgpiod, versions 1 and 2, whose options differ: GPIO through the kernel's character device
 * without a native build. What they say is read here, and nothing else.
 *
 * A line is held by the process that asked for it. So that none outlives the gateway and keeps a pin from its next
 * start, each is told to die with it (`setpriv --pdeathsig`, of Debian's util-linux); without setpriv it ends at its
 * next edge, when it finds nobody to tell.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import type { GpioLineSettings } from '../../src/devices/ports.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { LarderError, reasonOf } from '../../src/kernel/errors.ts'
import type { GpioChip } from './chip.ts'

/** Deadline in ms of a tool that answers at once; a Pi Zero that starts up takes its time. */
const TOOL_TIMEOUT = 5_000
/** Bytes of an answer: the lines of a few large chips. */
const MAX_ANSWER = 1_048_576
/** Characters of a line that tells an edge: it has some 25. */
const MAX_LINE = 256
/** Characters of a complaint that are kept. */
const MAX_COMPLAINT = 500
/** Time in ms between two looks whether a process has its line yet. */
const HELD_STEP = 20
/** Time in ms that a process gets to end before it is ended. */
const END_TIMEOUT = 1_000

const DYING_WITH_US = ['setpriv', '--pdeathsig', 'KILL']

export interface GpiodChip extends GpioChip {
  /** `gpiochip0`. */
  readonly name: string
}

/** A line for the tools: the name of its chip, its number, its resistor, and the electrical edge that is asked for. */
export interface ToolLine {
  readonly chip: string
  readonly line: number
  readonly pull: GpioLineSettings['pull']
  readonly edges?: 'rising' | 'falling' | undefined
}

/** An edge as gpiomon prints it, electrical. `at` in ms of the kernel's monotonic clock. */
export interface ToolEdge {
  readonly level: boolean
  readonly at: number
}

/** A process that holds a line. */
export interface Holder {
  /** Resolves when the process has ended, with what it complained of. Never rejects. */
  readonly ended: Promise<string>
  /** Resolves when it has ended and the line is free. */
  end(): Promise<void>
}

/** What `gpiodetect` prints, in both versions: `gpiochip0 [pinctrl-bcm2711] (58 lines)`. */
export function parseChips(answer: string): GpiodChip[] {
  const chips = new Map<string, GpiodChip>()
  for (const [, name = '', label = '', ngpio] of answer.matchAll(/^(gpiochip\d+) \[(.*)\] \((\d+) lines?\)$/gm)) {
    // A chip is listed again under each symbolic link to it (gpiochip4 on a Pi 5).
    chips.set(name, { name, label, ngpio: Number(ngpio), isNamed: other => other === name })
  }
  return [...chips.values()]
}

/** A line that gpiomon printed in our format: kind of edge (1 rising; 0 in version 1, 2 in version 2 falling), seconds, nanoseconds. */
export function parseEdge(line: string): ToolEdge | undefined {
  const [, kind, seconds, nanoseconds] = /^([012]) (\d{1,12})[ .](\d{1,9})$/.exec(line.trim()) ?? []
  if (kind === undefined) return undefined
  return { level: kind === '1', at: Number(seconds) * 1_000 + Number(nanoseconds) / 1e6 }
}

export class GpiodTools {
  readonly #clock: Clock
  readonly #major: 1 | 2
  readonly #prefix: readonly string[]

  private constructor(options: { clock: Clock; major: 1 | 2; prefix: readonly string[] }) {
    this.#clock = options.clock
    this.#major = options.major
    this.#prefix = options.prefix
  }

  /** Finds out which tools are there. Rejects with a `LarderError` DRIVER_MISSING when there are none. */
  static async find(clock: Clock): Promise<GpiodTools> {
    let cause: unknown
    for (const prefix of [DYING_WITH_US, []]) {
      try {
        const version = /\bv(\d+)\./.exec(await answerOf([...prefix, 'gpiomon', '--version']))?.[1]
        return new GpiodTools({ clock, prefix, major: Number(version) >= 2 ? 2 : 1 })
      } catch (error) {
        cause = error
      }
    }
    throw new LarderError('DRIVER_MISSING', 'The tools of gpiod are not installed.', {
      hint: 'Install them: apt-get install gpiod.',
      cause,
    })
  }

  /** 1 or 2. */
  get major(): 1 | 2 {
    return this.#major
  }

  async chips(): Promise<GpiodChip[]> {
    return parseChips(await answerOf(['gpiodetect']))
  }

  /** The electrical level of a free line, which becomes an input; with `asIs`, which only version 2 has, it stays what it is. */
  async level(line: ToolLine, options: { asIs?: boolean } = {}): Promise<boolean> {
    const how = options.asIs === true ? ['--as-is'] : this.#pull(line)
    const numeric = this.#major === 2 ? ['--numeric'] : []
    return (await answerOf(['gpioget', ...how, ...numeric, ...this.#chip(line), `${line.line}`])).trim() === '1'
  }

  /** Watches a line. Resolves when it is watched. */
  async watch(line: ToolLine, onEdge: (edge: ToolEdge) => void): Promise<Holder> {
    const format = this.#major === 1 ? ['--line-buffered', '--format=%e %s %n'] : ['--format', '%e %S']
    const how = [...format, ...this.#edges(line), ...this.#pull(line)]
    const process = this.#start(['gpiomon', ...how, ...this.#chip(line), `${line.line}`])
    readLines(process, text => {
      const edge = parseEdge(text)
      if (edge !== undefined) onEdge(edge)
    })
    return await this.#held(process, line)
  }

  /** Drives a line. Resolves when it is driven. */
  async drive(line: ToolLine, level: boolean): Promise<Holder> {
    const mode = this.#major === 1 ? ['--mode=signal'] : []
    const setting = `${line.line}=${level ? 1 : 0}`
    return await this.#held(this.#start(['gpioset', ...mode, ...this.#chip(line), setting]), line)
  }

  #chip({ chip }: ToolLine): string[] {
    return this.#major === 1 ? [chip] : ['--chip', chip]
  }

  #edges({ edges }: ToolLine): string[] {
    if (edges === undefined) return []
    return [this.#major === 1 ? `--${edges}-edge` : `--edges=${edges}`]
  }

  #pull({ pull }: ToolLine): string[] {
    if (pull === undefined) return []
    const none = this.#major === 1 ? 'disable' : 'disabled'
    return [`--bias=${pull === 'none' ? none : `pull-${pull}`}`]
  }

  #start(command: readonly string[]): ChildProcess {
    const [tool = '', ...args] = [...this.#prefix, ...command]
    return spawn(tool, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } })
  }

  /** Nothing tells that a process has its line but the list of lines. */
  async #held(child: ChildProcess, line: ToolLine): Promise<Holder> {
    let hasEnded = false
    const ended = endOf(child).then(complaint => {
      hasEnded = true
      return complaint
    })
    const holder: Holder = { ended, end: () => this.#end(child, ended) }
    const deadline = this.#clock.monotonic() + TOOL_TIMEOUT
    try {
      while (!hasEnded && !(await this.#isHeld(line))) {
        if (this.#clock.monotonic() > deadline) throw new Error(`it did not take the line within ${TOOL_TIMEOUT} ms`)
        await new Promise<void>(resolve => void this.#clock.after(HELD_STEP, resolve))
      }
    } catch (error) {
      await holder.end()
      throw error
    }
    if (hasEnded) throw new Error(await ended)
    return holder
  }

  async #isHeld({ chip, line }: ToolLine): Promise<boolean> {
    if (this.#major === 2)
      return /consumer="?gpio(mon|set)/.test(await answerOf(['gpioinfo', '--chip', chip, `${line}`]))
    const answer = await answerOf(['gpioinfo', chip])
    return new RegExp(`^\\s*line\\s+${line}:.*"gpio(mon|set)"`, 'm').test(answer)
  }

  async #end(child: ChildProcess, ended: Promise<string>): Promise<void> {
    child.kill('SIGTERM')
    const timer = this.#clock.after(END_TIMEOUT, () => child.kill('SIGKILL'))
    await ended
    timer.cancel()
  }
}

/** What a tool prints. Rejects with its complaint when it fails. */
function answerOf([tool = '', ...args]: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: TOOL_TIMEOUT, maxBuffer: MAX_ANSWER, env: { ...process.env, LC_ALL: 'C' } }
    execFile(tool, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(stderr.trim().slice(0, MAX_COMPLAINT) || reasonOf(error), { cause: error }))
    })
  })
}

/** Gives complete lines of a process. What grows beyond any line of its format is thrown away. */
function readLines(child: ChildProcess, take: (line: string) => void): void {
  let rest = ''
  child.stdout?.setEncoding('latin1').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = (lines.pop() ?? '').slice(0, MAX_LINE)
    for (const line of lines) take(line)
  })
}

function endOf(child: ChildProcess): Promise<string> {
  let complaint = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    complaint = (complaint + chunk).slice(0, MAX_COMPLAINT)
  })
  return new Promise(resolve => {
    child.on('error', error => resolve(reasonOf(error)))
    child.on('close', (code, signal) => resolve(complaint.trim() || `it ended with ${signal ?? code}`))
  })
}
