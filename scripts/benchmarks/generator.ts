/** The load generator (`generator.c`): built once with the machine's own compiler, run on the other core. It ends with whoever started it. */
import { execFile } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { ROOT } from '../../test/support/gateway.ts'
import { findBinary } from '../../test/support/needs.ts'
import { Process } from '../../test/support/process.ts'
import { OTHER_CORE, onCore } from './core.ts'

const SOURCE = join(ROOT, 'scripts/benchmarks/generator.c')
const PROGRAM = join(ROOT, 'dist/bench/generator')
/** ms for one measurement: the slowest broker drains a backlog in a minute. */
const PATIENCE = 180_000

/** What the generator prints. Seconds, and microseconds of the broker's processor for one message. */
export interface Measured {
  readonly count: number
  readonly sent: number
  readonly received: number
  readonly lost: number
  readonly misordered: number
  readonly repeated: number
  readonly seconds: number
  readonly rate: number
  readonly microseconds: number
  /** Part of its core that the generator used: near 1, it may have been what was slow. */
  readonly generator: number
  /** Milliseconds; only of what was sent at a given rate. */
  readonly p50?: number
  readonly p99?: number
  readonly p999?: number
  readonly worst?: number
}

export type Mode = 'run' | 'enqueue' | 'drain' | 'connect' | 'ask' | 'leave' | 'hold'
export type Flags = Readonly<Record<string, string | number>>

const execute = promisify(execFile)

/** Builds the generator when it is not there or older than its source. Rejects with a sentence when there is no compiler. */
export async function buildGenerator(): Promise<void> {
  if (existsSync(PROGRAM) && statSync(PROGRAM).mtimeMs > statSync(SOURCE).mtimeMs) return
  if (findBinary('gcc') === undefined)
    throw new Error('the generator needs a C compiler (apt-get install gcc libc6-dev)')
  await mkdir(dirname(PROGRAM), { recursive: true })
  const common = ['-O2', '-o', PROGRAM, SOURCE]
  // Without OpenSSL's headers all but TLS can be measured.
  await execute('gcc', ['-DWITH_TLS', ...common, '-lssl', '-lcrypto']).catch(() => execute('gcc', common))
}

/** One measurement. Rejects with what the generator says when it cannot be made. */
export async function generate(mode: Mode, flags: Flags): Promise<Measured> {
  const [program, ...args] = commandLine(mode, flags)
  const { stdout } = await execute(program, args, { timeout: PATIENCE }).catch(error => {
    throw new Error(`${String(error.stderr).trim() || error.message} (${mode} ${wordsOf(flags).join(' ')})`)
  })
  return JSON.parse(stdout) as Measured
}

/** Connections that stay until they are disposed of. */
export async function holdConnections(flags: Flags): Promise<AsyncDisposable> {
  const [program, ...args] = commandLine('hold', flags)
  const holder = new Process(program, args)
  await holder.line(line => line.includes('ready'), { timeout: PATIENCE })
  return holder
}

function commandLine(mode: Mode, flags: Flags): [string, ...string[]] {
  return onCore(OTHER_CORE, [PROGRAM, mode, ...wordsOf(flags)])
}

function wordsOf(flags: Flags): string[] {
  return Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])
}
