/** What the kernel counts of a process's threads, for `scripts/bench`. See proc(5). */
import { readdir, readFile } from 'node:fs/promises'

/** Processor time of all threads, in seconds, as the scheduler counts it: finer than the ticks of /proc/PID/stat. */
export async function processorOf(pid: number): Promise<number> {
  return (await sum(pid, 'schedstat', text => Number(text.split(' ')[0]))) / 1e9
}

/** How often a thread began to run again after it had waited for something. */
export function wakeUps(pid: number): Promise<number> {
  return sum(pid, 'status', text => Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(text)?.[1]))
}

async function sum(pid: number, file: string, read: (text: string) => number): Promise<number> {
  let total = 0
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    total += read(await readFile(`/proc/${pid}/task/${thread}/${file}`, 'utf8'))
  }
  return total
}
