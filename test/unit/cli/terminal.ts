import { EventEmitter } from 'node:events'
import type { Command, Io } from '../../../src/cli/larder.ts'
import { run } from '../../../src/cli/larder.ts'

/** What a command has around it, with all that it wrote. */
export class Terminal {
  readonly out: string[] = []
  readonly err: string[] = []
  readonly signals = new EventEmitter()
  readonly #onLine = new EventEmitter()
  readonly #commands: Record<string, Command>
  readonly #cwd: string
  readonly #env: NodeJS.ProcessEnv

  constructor(options: { commands: Record<string, Command>; cwd?: string; env?: NodeJS.ProcessEnv }) {
    this.#commands = options.commands
    this.#cwd = options.cwd ?? '/home/owner'
    this.#env = options.env ?? {}
  }

  /** Runs a command line; resolves with its exit status. */
  run(...argv: string[]): Promise<number> {
    const note = (lines: string[]) => (line: string) => {
      lines.push(line)
      this.#onLine.emit('line', line)
    }
    const io: Io = {
      stdout: note(this.out),
      stderr: note(this.err),
      env: this.#env,
      cwd: this.#cwd,
      signals: this.signals,
      version: '1.2.3',
    }
    return run(argv, io, this.#commands)
  }

  /** Resolves when a line that begins so is written from now on. */
  line(start: string): Promise<void> {
    return new Promise(resolve => {
      const look = (line: string) => {
        if (!line.startsWith(start)) return
        this.#onLine.off('line', look)
        resolve()
      }
      this.#onLine.on('line', look)
    })
  }
}
