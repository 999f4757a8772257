/** A guest under QEMU from its start to its end. What it says of itself begins with "gpio:". */
import { createConnection } from 'node:net'
import { findBinary } from '../../support/needs.ts'
import { Process } from '../../support/process.ts'

/** Deadline in ms of a guest: on an idle machine the longest takes a minute. */
const GUEST_TIMEOUT = 400_000
/** What the kernel must not say. */
const FAULT = /Kernel panic|Out of memory|BUG:|Oops:/

export interface GuestOptions {
  readonly qemu: string
  /** Arguments that make the machine: its kind, its memory. */
  readonly machine: readonly string[]
  readonly kernel: string
  readonly initramfs: string
  readonly append: string
  /** Path of the socket of QEMU's monitor; absent: none. */
  readonly monitor?: string
  /** Told each line of the guest's own. */
  readonly note: (line: string) => void
}

/** Runs the guest to its end. Resolves to true when everything was shown. */
export async function runGuest(options: GuestOptions): Promise<boolean> {
  const { qemu, machine, kernel, initramfs, append, monitor, note } = options
  await using process = new Process(findBinary(qemu) ?? qemu, [
    ...['-accel', 'tcg', '-no-reboot', '-display', 'none', '-serial', 'stdio', '-nic', 'none'],
    ...['-monitor', monitor === undefined ? 'none' : `unix:${monitor},server,nowait`],
    ...machine,
    ...['-kernel', kernel, '-initrd', initramfs, '-append', append],
  ])
  let seen = 0
  let isPassed = false
  for (;;) {
    const line = await process.line(() => true, { from: seen, timeout: GUEST_TIMEOUT })
    seen = process.lines.indexOf(line, seen) + 1
    const said = /(?:^|\s)gpio: (.*)/.exec(line)?.[1]?.trimEnd()
    if (FAULT.test(line)) note(`the guest's kernel: ${line}`)
    if (said === undefined) continue
    if (said.startsWith('press') && monitor !== undefined) tell(monitor, 'system_powerdown')
    else if (said === 'passed') isPassed = true
    else if (said.startsWith('ended')) break
    else note(said)
    if (said.startsWith('FAULT')) for (const rest of process.lines.slice(seen)) note(rest)
  }
  if (!isPassed) for (const line of process.lines.slice(-30)) note(`  ${line}`)
  return isPassed
}

/** Gives QEMU's monitor a command. */
function tell(monitor: string, command: string): void {
  const socket = createConnection(monitor, () => socket.end(`${command}\n`))
  socket.on('error', error => console.error(`QEMU's monitor: ${error.message}`))
  socket.resume()
}
