/** What the gateway says while it is soaked: how often each thing, and what nobody expects. */

/** Warnings that the soak causes on purpose. */
const EXPECTED = [
  'the queue of a session is full and messages are dropped (limits.max_queued_…, max_total_…, overflow)',
  'bridge disconnected',
  'bridge cannot connect',
  'bridge is disconnected again and again',
]
/** What Node says when it is inspected. */
const INSPECTOR = /^(Debugger (listening on|attached|ending)|For help, see:|Waiting for the debugger)/
/** Unexpected lines that are kept: the first tell the cause. */
const MAX_UNEXPECTED = 20

export class LogBook {
  readonly counts = new Map<string, number>()
  readonly unexpected: string[] = []

  /** Takes lines of standard error out of `lines`, which is emptied. */
  take(lines: string[]): void {
    for (const line of lines.splice(0)) this.#take(line)
  }

  #take(line: string): void {
    if (line === '' || INSPECTOR.test(line)) return
    const message = messageOf(line)
    this.counts.set(message, (this.counts.get(message) ?? 0) + 1)
    if (!EXPECTED.includes(message) && this.unexpected.length < MAX_UNEXPECTED) this.unexpected.push(line)
  }
}

/** Of one that is no line of the log, all of it. */
function messageOf(line: string): string {
  try {
    return (JSON.parse(line) as { msg: string }).msg
  } catch {
    return line
  }
}
