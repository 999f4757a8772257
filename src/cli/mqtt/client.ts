/** What `larder pub`, `larder sub` and `larder rr` have in common around their work: the command line, the help and the faults. */
import type { Writable } from 'node:stream'
import type { Clock } from '../../kernel/clock.ts'
import { EXIT_DONE, type Io } from '../larder.ts'
import type { Strftime } from './format.ts'
import { optionLines } from './options-file.ts'
import { type ClientSettings, type Program, readSettings } from './settings.ts'
import { ClientFault, connectFault } from './texts.ts'

/** What a client has of the machine. */
export interface Machine {
  readonly stdin: AsyncIterable<Buffer>
  readonly stdout: Writable
  readonly pid: number
  readonly clock: Clock
  readonly strftime: Strftime
}

/** Does what one command line asks for; resolves with the exit status. Rejects with a ClientFault, or with the error of a socket. */
export type Work = (settings: ClientSettings, machine: Machine, io: Io) => Promise<number>

export async function runClient(
  { program, help, work }: { program: Program; help: readonly string[]; work: Work },
  words: readonly string[],
  machine: Machine,
  io: Io,
): Promise<number> {
  let quiet = false
  try {
    const settings = readSettings(program, words, machine.pid, optionLines(program, words, io))
    if (settings === 'version') io.stdout(`larder ${program} ${io.version}`)
    else if (settings === 'help') for (const line of help) io.stdout(line)
    else {
      quiet = settings.quiet
      return await work(settings, machine, io)
    }
    return EXIT_DONE
  } catch (error) {
    const fault = error instanceof ClientFault ? error : connectFault(error)
    if (!quiet) complain(io, fault.message)
    return fault.status
  }
}

/** Writes `lines`, each with its line break, to stderr. */
export function complain(io: Io, lines: string): void {
  io.stderr(lines.replace(/\n$/, ''))
}
