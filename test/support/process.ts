/**
 * A child process that is read line by line. Used for the gateway, for the real MQTT clients and for
 * scripts. Disposing kills it and waits until it is gone, so no test leaves one behind.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { PATIENCE, until, within } from './wait.ts'

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface ProcessOptions {
  cwd?: string
  /** Added to this process's own environment; undefined takes a variable away. */
  env?: Record<string, string | undefined>
  /** User and group to run as; only root may. */
  uid?: number
  /** Written to standard input, which is then closed. Without it standard input is empty. */
  input?: string
  /** Standard input stays open, for `write`. */
  keepsInput?: boolean
  /** Leads its own process group, which `Process.kill` reaches as a whole. */
  group?: boolean
}

/** Lines of standard error kept for failure messages: enough for a gateway's whole test run at level info. */
const MAX_ERROR_LINES = 2_000

export class Process {
  /** Complete lines of standard output so far. */
  readonly lines: string[] = []
  /** The last lines of standard error. */
  readonly errors: string[] = []
  readonly exit: Promise<Exit>
  readonly command: string
  readonly #child: ChildProcess
  readonly #group: boolean
  #exited = false
  #end: Exit | undefined

  constructor(command: string, args: readonly string[], options: ProcessOptions = {}) {
    this.command = [command, ...args].join(' ')
    this.#group = options.group === true
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      detached: this.#group,
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    })
    this.#child = child
    child.stdin.on('error', () => {}) // it may end before it has read all of its input
    if (options.keepsInput !== true) child.stdin.end(options.input ?? '')
    const outDone = this.#read(child.stdout, line => this.lines.push(line))
    const errDone = this.#read(child.stderr, line => {
      this.errors.push(line)
      if (this.errors.length > MAX_ERROR_LINES) this.errors.shift()
    })
    this.exit = new Promise<Exit>((resolve, reject) => {
      child.on('error', reject)
      child.on('exit', async (code, signal) => {
        await Promise.all([outDone, errDone])
        this.#end = { code, signal }
        this.#exited = true
        resolve(this.#end)
      })
    })
    this.exit.catch(() => {}) // whoever waits for it sees it; nobody has to
  }

  /** To its standard input, with `keepsInput`. */
  write(text: string): void {
    this.#child.stdin?.write(text)
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.command}: did not start`)
    return this.#child.pid
  }

  get running(): boolean {
    return !this.#exited
  }

  /** The first line of standard output from line `from` on that `match` accepts. Rejects when the process ends without one. */
  async line(match: (line: string) => boolean, options: { timeout?: number; from?: number } = {}): Promise<string> {
    let looked = options.from ?? 0
    const found = await until(
      () => {
        for (; looked < this.lines.length; looked++) {
          const line = this.lines[looked]
          if (line !== undefined && match(line)) return { line }
        }
        if (this.#exited) {
          const how = this.#end?.signal ?? this.#end?.code
          throw new Error(`${this.command}: ended with ${how} without the expected line\n${this.transcript()}`)
        }
        return undefined
      },
      {
        timeout: options.timeout ?? PATIENCE,
        what: () => `a line of ${this.command}\n${this.transcript()}`,
        every: 2,
      },
    )
    return found.line
  }

  /** Sends a signal and waits for the end. */
  async kill(signal: NodeJS.Signals = 'SIGKILL', timeout: number = PATIENCE): Promise<Exit> {
    if (!this.#exited) {
      if (this.#group) process.kill(-this.pid, signal)
      else this.#child.kill(signal)
    }
    return await within(this.exit, {
      timeout,
      what: () => `the end of ${this.command} after ${signal}\n${this.transcript()}`,
    })
  }

  /** What it said, for failure messages: the last lines of both outputs. */
  transcript(): string {
    return [
      ...this.lines.slice(-20).map(line => `  out ${line}`),
      ...this.errors.slice(-40).map(line => `  err ${line}`),
    ].join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#exited && this.#child.pid !== undefined) await this.kill('SIGKILL')
  }

  #read(stream: NodeJS.ReadableStream, take: (line: string) => void): Promise<void> {
    return new Promise(resolve => createInterface({ input: stream }).on('line', take).on('close', resolve))
  }
}

/** Runs a command to its end and gives what it printed. Rejects when it takes longer than `timeout` ms. */
export async function run(
  command: string,
  args: readonly string[],
  options: ProcessOptions & { timeout?: number } = {},
): Promise<Exit & { lines: string[]; errors: string[] }> {
  await using child = new Process(command, args, options)
  const exit = await within(child.exit, {
    timeout: options.timeout ?? PATIENCE,
    what: () => `the end of ${child.command}\n${child.transcript()}`,
  })
  return { ...exit, lines: child.lines, errors: child.errors }
}
