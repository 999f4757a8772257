/**
 * `larder log`: the last lines of the running gateway's log, which it keeps in memory whatever becomes of its stderr; with
 * `--follow`, what it says from then on. It is asked again and again rather than told: nobody who follows can hold it up.
 */
import type { LoadOptions } from '../config/load.ts'
import { LarderError } from '../kernel/errors.ts'
import type { TailLine } from '../kernel/log-tail.ts'
import { folderOf, GATEWAY_FLAGS } from './asking.ts'
import { askGateway, type ControlAnswer } from './control.ts'
import { type Command, EXIT_DONE, EXIT_FAILED, EXIT_USAGE } from './larder.ts'

/** Lines, unless somebody wants more. */
const USUAL_LINES = 50
/** Milliseconds between two questions. */
const FOLLOW_INTERVAL = 500

export interface LogDependencies extends Pick<LoadOptions, 'checks'> {
  /** Resolves after so many milliseconds. */
  pause(milliseconds: number): Promise<void>
}

/** The part of the kernel's tail that is asked. */
export interface Tail {
  readonly count: number
  since(count: number): readonly TailLine[]
}

export function logCommand(deps: LogDependencies): Command {
  return {
    summary: 'show the last lines of the running gateway’s log',
    flags: {
      ...GATEWAY_FLAGS,
      lines: { type: 'string', short: 'n', value: 'NUMBER', help: `so many (${USUAL_LINES}); it keeps some hundreds` },
      follow: { type: 'boolean', short: 'f', help: 'go on with what it says from now on' },
      json: { type: 'boolean', help: 'each line as JSON' },
    },
    examples: [
      ['larder log', `the last ${USUAL_LINES} lines`],
      ['larder log -n 200 --follow', 'more of them, and what follows'],
    ],
    async run(flags, io) {
      const wanted = flags.lines === undefined ? USUAL_LINES : Number(flags.lines)
      if (!Number.isInteger(wanted) || wanted < 0) {
        io.stderr(`larder: log: --lines ${flags.lines} is no number of lines, such as 100`)
        return EXIT_USAGE
      }
      const folder = folderOf(flags, io, deps)
      if (folder === undefined) return EXIT_FAILED
      let isGoing = true
      const end = () => {
        isGoing = false
      }
      for (const signal of ['SIGINT', 'SIGTERM'] as const) io.signals.on(signal, end)
      try {
        let said = await ask(folder, { last: `${wanted}` })
        for (;;) {
          for (const line of said.lines) io.stdout(flags.json === true ? JSON.stringify(line) : textOf(line))
          if (flags.follow !== true || !isGoing) return EXIT_DONE
          await deps.pause(FOLLOW_INTERVAL)
          said = await ask(folder, { after: `${said.count}` })
        }
      } catch (error) {
        if (!(error instanceof LarderError)) throw error
        io.stderr(`larder: ${error.toLine()}`)
        return EXIT_FAILED
      } finally {
        for (const signal of ['SIGINT', 'SIGTERM'] as const) io.signals.off(signal, end)
      }
    },
  }
}

/** The other end: what the gateway answers to `log`. */
export function obeyLog(tail: Tail, { last, after }: Readonly<Record<string, string>>): ControlAnswer {
  const { count } = tail
  const from = after === undefined ? count - Number(last) : Number(after)
  // A gateway that was started anew counts anew.
  const lines = tail.since(Number.isInteger(from) && from <= count ? Math.max(0, from) : 0)
  return { ok: true, lines: [`${count}`, ...lines.map(line => JSON.stringify(line))] }
}

async function ask(folder: string, options: Record<string, string>): Promise<{ count: number; lines: TailLine[] }> {
  const answer = await askGateway(folder, { command: 'log', options })
  if (!answer.ok) throw new LarderError('NOT_RUNNING', answer.lines.join(' ').replace(/^larder: /, ''))
  const [count, ...lines] = answer.lines
  return { count: Number(count), lines: lines.map(line => JSON.parse(line) as TailLine) }
}

function textOf({ at, level, text }: TailLine): string {
  const mark = level === 'warn' || level === 'error' ? level.toUpperCase() : level
  return `${new Date(at).toISOString()} ${mark.padEnd(5)} ${text}`
}
