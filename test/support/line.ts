/**
 * A line of the project's own to a network namespace of its own, which can be as bad as a test wants: latency, loss,
 * reordering, a link that is down, one that swallows everything. The kernel's netem makes it so, where the kernel has that;
 * elsewhere netem.py does the same in user space, and that is said.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { findBinary, needs } from './needs.ts'
import { Process } from './process.ts'

export interface LineQuality {
  /** ms each way. */
  delay?: number
  /** Part of the packets that is lost, each way. */
  loss?: number
  /** Part of the packets that goes ahead of those before it, because it is not delayed. */
  reorder?: number
}

const GOOD: Required<LineQuality> = { delay: 0, loss: 0, reorder: 0 }
const TUN = '/dev/net/tun'

let lines = 0

export class Line {
  /** Address of this end, and of the one in the namespace. */
  readonly near: string
  readonly far: string
  readonly kind: 'netem' | 'user space'
  readonly #network: string
  readonly #namespace: string
  readonly #nearDevice: string
  readonly #farDevice: string
  #emulator: Process | undefined
  /** Whatever of it is there. The devices go with their namespace, and with each the one at the near end. */
  readonly #remove = (): void => {
    spawnSync('ip', ['route', 'del', 'unreachable', this.#network, 'metric', '9999'])
    spawnSync('ip', ['netns', 'del', this.#namespace])
  }

  constructor() {
    const number = process.pid * 4 + (lines++ % 4)
    // One of 16,384 networks of four addresses.
    const [third, fourth] = [(number >> 6) & 0xff, (number & 0x3f) * 4]
    this.#network = `10.213.${third}.${fourth}/30`
    this.near = `10.213.${third}.${fourth + 1}`
    this.far = `10.213.${third}.${fourth + 2}`
    this.#namespace = `larder-${number}`
    this.#nearDevice = `ldn${number % 1_000_000_000}`
    this.#farDevice = `ldf${number % 1_000_000_000}`
    this.kind = hasNetem() ? 'netem' : 'user space'
  }

  /** Before a command line that is to run at the far end. */
  get through(): [string, ...string[]] {
    return ['ip', 'netns', 'exec', this.#namespace]
  }

  async open(): Promise<void> {
    const [near, far] = [this.#nearDevice, this.#farDevice]
    process.once('exit', this.#remove)
    ip('netns', 'add', this.#namespace)
    if (this.kind === 'netem') {
      ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far)
      ip('link', 'set', far, 'netns', this.#namespace)
    } else {
      process.stderr.write('bridge: this kernel has no netem; the line is made bad in user space, packet by packet\n')
      const script = join(import.meta.dirname, 'netem.py')
      this.#emulator = new Process('python3', [script, near, far, this.#namespace], { keepsInput: true })
      await this.#emulator.line(line => line === 'ready')
    }
    ip('addr', 'add', `${this.near}/30`, 'dev', near)
    ip('link', 'set', near, 'up')
    ip('-n', this.#namespace, 'addr', 'add', `${this.far}/30`, 'dev', far)
    ip('-n', this.#namespace, 'link', 'set', far, 'up')
    ip('-n', this.#namespace, 'link', 'set', 'lo', 'up')
    // While the link is down nothing must look for another way.
    ip('route', 'add', 'unreachable', this.#network, 'metric', '9999')
  }

  /** From now on; what is not said is good. */
  shape(quality: LineQuality): void {
    const line = { ...GOOD, ...quality }
    if (this.#emulator !== undefined) {
      this.#emulator.write(`${JSON.stringify(line)}\n`)
      return
    }
    const { delay, loss, reorder } = line
    const asked = [
      ...(delay > 0 ? ['delay', `${delay}ms`] : []),
      ...(loss > 0 ? ['loss', `${loss * 100}%`] : []),
      ...(reorder > 0 ? ['reorder', `${reorder * 100}%`] : []),
    ]
    must('tc', ['qdisc', 'replace', 'dev', this.#nearDevice, 'root', 'netem', ...asked])
    const there = ['-n', this.#namespace, 'qdisc', 'replace', 'dev', this.#farDevice, 'root', 'netem']
    must('tc', [...there, ...asked])
  }

  /** The link of this end. */
  link(state: 'up' | 'down'): void {
    ip('link', 'set', this.#nearDevice, state)
  }

  /** Nothing comes back from the far end, and nobody says why. */
  blackHole(isOn: boolean): void {
    ip('-n', this.#namespace, 'route', isOn ? 'add' : 'del', 'blackhole', `${this.near}/32`)
  }

  async close(): Promise<void> {
    process.off('exit', this.#remove)
    await this.#emulator?.[Symbol.asyncDispose]()
    this.#remove()
  }
}

/** A good line, which goes with the test. */
export async function startLine(): Promise<Line> {
  const line = new Line()
  onTestFinished(() => line.close())
  await line.open()
  return line
}

let told = false

/** Whether lines can be had here; says why not, once. */
export function hasLines(): boolean {
  if (!needs('ip')) return false
  const why =
    process.getuid?.() !== 0
      ? 'they need root'
      : !hasNetem() && !(isWritable(TUN) && findBinary('python3') !== undefined)
        ? `the kernel has no netem, and there is no ${TUN} or no python3 to do without`
        : undefined
  if (why !== undefined && !told) process.stderr.write(`skipped: tests on bad lines, because ${why}\n`)
  told ||= why !== undefined
  return why === undefined
}

let netem: boolean | undefined

/** Asks the kernel, on a device that is gone again at once. */
function hasNetem(): boolean {
  if (netem !== undefined) return netem
  if (findBinary('tc') === undefined || process.getuid?.() !== 0) return false
  const probe = `larder-probe-${process.pid}`
  if (spawnSync('ip', ['netns', 'add', probe]).status !== 0) return false
  const { status } = spawnSync('tc', ['-n', probe, 'qdisc', 'add', 'dev', 'lo', 'root', 'netem', 'delay', '1ms'])
  spawnSync('ip', ['netns', 'del', probe])
  netem = status === 0
  return netem
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

function ip(...args: string[]): void {
  must('ip', args)
}

function must(command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
}
