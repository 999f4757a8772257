/**
 * `larder top`: what the running gateway does now, again and again: on a terminal a screen that changes in place until `q` or
 * Ctrl-C, elsewhere one look after the other.
 */

import type { LoadOptions } from '../../config/load.ts'
import { LarderError } from '../../kernel/errors.ts'
import { folderOf, GATEWAY_FLAGS } from '../asking.ts'
import { askGateway, type ControlAnswer } from '../control.ts'
import { type Command, EXIT_DONE, EXIT_FAILED, EXIT_USAGE, type Io } from '../larder.ts'
import { type ClientLook, type Look, screen } from './screen.ts'

/** Seconds between two looks. */
const USUAL_INTERVAL = 2
/** Bounds of it: a look costs the gateway a millisecond or so. */
const MIN_INTERVAL = 0.2
const MAX_INTERVAL = 3_600
/** Clients that are told of: more than any screen has lines, with room for others to become busy. */
const MAX_CLIENTS = 500
/** Of a screen that does not say how large it is. */
const USUAL_SIZE = { columns: 100, rows: 40 }
/** Ctrl-C, where the terminal gives it as a character. */
const INTERRUPT = '\u0003'

/** The terminal that it runs in; the streams of the process. */
export interface Screen {
  readonly stdin: NodeJS.ReadableStream & { isTTY?: boolean; setRawMode?(isRaw: boolean): unknown; unref?(): unknown }
  readonly stdout: NodeJS.WritableStream & { isTTY?: boolean; columns?: number; rows?: number }
  /** Milliseconds that never go back. */
  monotonic(): number
  /** Resolves after so many milliseconds, or when `signal` aborts. */
  pause(milliseconds: number, signal: AbortSignal): Promise<void>
}

export function topCommand(deps: Pick<LoadOptions, 'checks'> & { loadScreen: () => Promise<Screen> }): Command {
  return {
    summary: 'show what the running gateway does now, again and again',
    flags: {
      ...GATEWAY_FLAGS,
      interval: { type: 'string', short: 'i', value: 'SECONDS', help: `between two looks (${USUAL_INTERVAL})` },
      count: { type: 'string', short: 'n', value: 'NUMBER', help: 'end after so many looks' },
    },
    examples: [
      ['larder top', 'until q or Ctrl-C'],
      ['larder top -i 10 -n 6 > minute.txt', 'six looks in a minute, as plain lines'],
    ],
    async run(flags, io) {
      const interval = Number(flags.interval ?? USUAL_INTERVAL)
      const count = Number(flags.count ?? Number.POSITIVE_INFINITY)
      if (!(interval >= MIN_INTERVAL && interval <= MAX_INTERVAL)) {
        io.stderr(
          `larder: top: --interval ${flags.interval} is no number of seconds from ${MIN_INTERVAL} to ${MAX_INTERVAL}`,
        )
        return EXIT_USAGE
      }
      if (!(count >= 1)) {
        io.stderr(`larder: top: --count ${flags.count} is no number of looks, such as 10`)
        return EXIT_USAGE
      }
      const folder = folderOf(flags, io, deps)
      if (folder === undefined) return EXIT_FAILED
      const terminal = await deps.loadScreen()
      return show({ folder, interval: interval * 1000, count, terminal, io })
    },
  }
}

async function show(options: {
  folder: string
  interval: number
  count: number
  terminal: Screen
  io: Io
}): Promise<number> {
  const { folder, interval, count, terminal, io } = options
  const stop = new AbortController()
  const end = () => stop.abort()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) io.signals.on(signal, end)
  terminal.stdout.on('error', end) // whoever reads has gone
  let painter: Painter | undefined
  try {
    let before: Look | undefined
    for (let looks = 0; looks < count && !stop.signal.aborted; looks++) {
      if (looks > 0) await terminal.pause(interval, stop.signal)
      if (stop.signal.aborted) break
      const now = await look(folder, terminal)
      // Not before there is something to see: a fault is to stand on the screen that was there.
      painter ??= painterFor(terminal, end)
      painter.paint(screen(now, before, painter.size()))
      before = now
    }
    return EXIT_DONE
  } catch (error) {
    if (!(error instanceof LarderError)) throw error
    painter?.close()
    painter = undefined
    io.stderr(`larder: ${error.toLine()}`)
    return EXIT_FAILED
  } finally {
    painter?.close()
    terminal.stdout.off('error', end)
    for (const signal of ['SIGINT', 'SIGTERM'] as const) io.signals.off(signal, end)
  }
}

async function look(folder: string, { monotonic }: Screen): Promise<Look> {
  const { ok, lines } = await askGateway(folder, { command: 'top' })
  if (!ok) throw new LarderError('NOT_RUNNING', lines.join(' ').replace(/^larder: /, ''))
  const [status = '', clients = ''] = lines
  return { at: monotonic(), status: JSON.parse(status), clients: JSON.parse(clients) }
}

interface Painter {
  size(): { columns: number; rows: number }
  paint(lines: readonly string[]): void
  /** Leaves the terminal as it was. */
  close(): void
}

function painterFor({ stdin, stdout }: Screen, onQuit: () => void): Painter {
  if (stdout.isTTY !== true) {
    return {
      size: () => ({ columns: Number.POSITIVE_INFINITY, rows: USUAL_SIZE.rows }),
      paint: lines => void stdout.write(`${lines.join('\n').trimEnd()}\n\n`),
      close: () => {},
    }
  }
  const onKey = (bytes: Buffer) => {
    const keys = bytes.toString()
    if (keys.includes('q') || keys.includes('Q') || keys.includes(INTERRUPT)) onQuit()
  }
  const readsKeys = stdin.isTTY === true
  if (readsKeys) {
    stdin.setRawMode?.(true)
    stdin.on('data', onKey)
  }
  // Another screen, whose cursor is not seen (xterm's control sequences); the one before comes back.
  stdout.write('\x1b[?1049h\x1b[?25l')
  return {
    // Some terminals say 0.
    size: () => ({ columns: stdout.columns || USUAL_SIZE.columns, rows: stdout.rows || USUAL_SIZE.rows }),
    paint: lines => void stdout.write(`\x1b[H${lines.map(line => `${line}\x1b[K`).join('\n')}\x1b[J`),
    close() {
      stdout.write('\x1b[?25h\x1b[?1049l')
      if (!readsKeys) return
      stdin.off('data', onKey)
      stdin.setRawMode?.(false)
      stdin.pause()
    },
  }
}

/** What the running gateway answers. */
export function obeyTop(
  status: (form: 'json') => readonly string[],
  clients: (limit: number) => readonly ClientLook[],
): ControlAnswer {
  return { ok: true, lines: [...status('json'), JSON.stringify(clients(MAX_CLIENTS))] }
}
