/**
 * A serial cable for tests: two pseudo-terminals joined by Debian's `socat`. The gateway opens
 * `path`, the test speaks through the other end. Killing socat is the pulled plug: both ends hang up.
 * The helper keeps a handle of its own on both ends, because socat ends when the last user of
 * an end closes it, and a cable does not vanish when a program closes its port.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ReadStream } from 'node:tty'

/** A socat that is not up by then never will be. */
const START_DEADLINE_MS = 10_000
/** A line that was sent arrives within milliseconds; a loaded machine gets more. */
const LINE_DEADLINE_MS = 10_000

export interface Pty {
  /** What the gateway opens. Stays the same over unplug and replug. */
  readonly path: string
  /** The far end, for programs that write to it themselves. */
  readonly other: string
  /** Sends bytes to whoever has `path` open. */
  write(bytes: string | Uint8Array): void
  /** The next line that was written to `path`, without its line end. Rejects when none comes in time. */
  nextLine(): Promise<string>
  /** Calls `listener` with what is written to `path`, as it comes; lines are gathered all the same. */
  listen(listener: (bytes: Buffer) => void): void
  /** Makes the device hang: it takes no more bytes and gives none, until it is unplugged. */
  stall(): void
  /** Pulls the plug. As with a killed socat the link stays behind, leading nowhere. */
  unplug(): Promise<void>
  /** Plugs in a new device at the same path. */
  replug(): Promise<void>
  /** Unplugs and removes everything. */
  close(): Promise<void>
  /** The same, for `await using cable = await openPty()`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Sockets of a test run that crashed must not outlive it. */
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Opens a cable in a temporary folder of its own. */
export async function openPty(): Promise<Pty> {
  const folder = mkdtempSync(join(tmpdir(), 'larder-pty-'))
  const path = join(folder, 'port')
  const other = join(folder, 'far')
  const inbox = new Inbox()
  let cable = await plug(path, other, inbox)
  const close = async () => {
    await cable.unplug()
    rmSync(folder, { recursive: true, force: true })
  }
  return {
    path,
    other,
    write: bytes => cable.write(bytes),
    nextLine: () => inbox.next(),
    listen: listener => {
      inbox.listener = listener
    },
    stall: () => cable.stall(),
    unplug: () => cable.unplug(),
    async replug() {
      await cable.unplug()
      inbox.reset()
      cable = await plug(path, other, inbox)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

interface Cable {
  write(bytes: string | Uint8Array): void
  stall(): void
  unplug(): Promise<void>
}

async function plug(path: string, other: string, inbox: Inbox): Promise<Cable> {
  const ends = [path, other].map(link => `pty,raw,echo=0,link=${link}`)
  const socat = spawn('socat', ['-d', '-d', ...ends], { stdio: ['ignore', 'ignore', 'pipe'] })
  running.add(socat)
  const exited = new Promise<void>(resolve => {
    socat.once('close', () => {
      running.delete(socat)
      resolve()
    })
  })
  await new Promise<void>((resolve, reject) => {
    let said = ''
    const giveUp = setTimeout(() => {
      socat.kill('SIGKILL')
      reject(new Error(`socat did not start: ${said}`))
    }, START_DEADLINE_MS)
    socat.once('error', reject)
    socat.once('close', () => reject(new Error(`socat ended: ${said}`)))
    socat.stderr.on('data', (chunk: Buffer) => {
      said += chunk
      if (!said.includes('starting data transfer loop')) return
      clearTimeout(giveUp)
      resolve()
    })
  })
  const kept = openSync(path, constants.O_RDWR | constants.O_NOCTTY)
  const end = new ReadStream(openSync(other, constants.O_RDWR | constants.O_NOCTTY))
  end.on('error', () => {}) // EIO is how a hang-up reads
  end.on('data', chunk => inbox.push(chunk))
  return {
    write: bytes => void end.write(bytes),
    stall: () => void socat.kill('SIGSTOP'),
    async unplug() {
      if (!running.has(socat)) return
      socat.kill('SIGKILL')
      await exited
      end.destroy()
      closeSync(kept)
    },
  }
}

/** Lines that came from the gateway, and those who wait for one. */
class Inbox {
  #partial = ''
  readonly #lines: string[] = []
  readonly #waiting: ((line: string) => void)[] = []
  listener: ((bytes: Buffer) => void) | undefined

  push(chunk: Buffer): void {
    this.listener?.(chunk)
    const lines = (this.#partial + chunk).split(/\r?\n/)
    this.#partial = lines.pop() ?? ''
    for (const line of lines) {
      const waiting = this.#waiting.shift()
      if (waiting === undefined) this.#lines.push(line)
      else waiting(line)
    }
  }

  next(): Promise<string> {
    const line = this.#lines.shift()
    if (line !== undefined) return Promise.resolve(line)
    return new Promise((resolve, reject) => {
      const take = (arrived: string) => {
        clearTimeout(giveUp)
        resolve(arrived)
      }
      const giveUp = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(take), 1)
        reject(new Error(`no line came within ${LINE_DEADLINE_MS} ms; so far: ${JSON.stringify(this.#partial)}`))
      }, LINE_DEADLINE_MS)
      this.#waiting.push(take)
    })
  }

  reset(): void {
    this.#partial = ''
    this.#lines.length = 0
  }
}
