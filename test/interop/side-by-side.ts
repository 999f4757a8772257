/** Debian's mosquitto and `larder mosquitto`, started with the same command line in one folder. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { build, ROOT } from '../support/gateway.ts'
import { findBinary } from '../support/needs.ts'
import { type Exit, Process } from '../support/process.ts'
import { until } from '../support/wait.ts'

/** Sets up a folder for the tests of a file, and takes it away after them. */
export function sideBySide() {
  let dir = ''
  let files = 0
  beforeAll(async () => {
    await build()
    dir = mkdtempSync(join(tmpdir(), 'larder-side-by-side-'))
    mkdirSync(join(dir, 'tmp'))
  })
  afterAll(() => rmSync(dir, { recursive: true, force: true }))
  return {
    folder: () => dir,
    /** A mosquitto.conf with this text. */
    conf(text: string): string {
      const file = join(dir, `${++files}.conf`)
      writeFileSync(file, `${text}\n`)
      return file
    },
    /** Its temporary files go into `tmp` in the folder. */
    ours(...args: string[]): Process {
      const larder = join(ROOT, 'dist/larder.js')
      return new Process(process.execPath, [larder, 'mosquitto', ...args], {
        cwd: dir,
        env: { TMPDIR: join(dir, 'tmp') },
      })
    },
    theirs: (...args: string[]) => new Process(findBinary('mosquitto') ?? 'mosquitto', args, { cwd: dir }),
  }
}

/** The exit of a broker, or undefined once it runs. */
export async function outcome(broker: Process): Promise<Exit | undefined> {
  const isRunning = () => broker.errors.some(line => / running$/.test(line))
  await until(() => !broker.running || isRunning(), { what: () => `a broker\n${broker.transcript()}`, timeout: 20_000 })
  return isRunning() ? undefined : broker.exit
}

export const withoutStamp = (line: string): string => line.replace(/^\d+: /, '')

export const errorsOf = (broker: Process): string[] =>
  broker.errors.map(withoutStamp).filter(line => line.startsWith('Error'))

/** Leaves out the rest of a test, and says so. */
export function skipped(context: { skip: (note?: string) => never }, why: string): never {
  process.stderr.write(`skipped: ${why}\n`)
  return context.skip(why)
}
