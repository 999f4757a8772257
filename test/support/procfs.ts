/** What the kernel counts about a process: memory, processor time, bytes written. See proc(5). */
import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** Ticks per second of the times in /proc/<pid>/stat; 100 on every Linux that Node runs on. */
const CLOCK_TICKS = 100

/** Resident memory in bytes (VmRSS). */
export async function residentMemory(pid: number): Promise<number> {
  return (await field(`/proc/${pid}/status`, /^VmRSS:\s+(\d+) kB$/m)) * 1024
}

/** Proportional set size in bytes: of pages that several processes share, each has its part. */
export async function proportionalMemory(pid: number): Promise<number> {
  return (await field(`/proc/${pid}/smaps_rollup`, /^Pss:\s+(\d+) kB$/m)) * 1024
}

/** The most that was ever resident, in bytes (VmHWM). */
export async function peakMemory(pid: number): Promise<number> {
  return (await field(`/proc/${pid}/status`, /^VmHWM:\s+(\d+) kB$/m)) * 1024
}

/** Processor time in seconds that all threads have used so far, in the program and in the kernel for it. */
export async function processorSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // The second field is the program's name in brackets and may hold spaces: count from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS
}

/** Time in seconds for which the main thread of a process could have run, and another had the processor. */
export async function waitedSeconds(pid: number): Promise<number> {
  const [, nanoseconds] = (await readFile(`/proc/${pid}/task/${pid}/schedstat`, 'utf8')).split(' ')
  return Number(nanoseconds) / 1e9
}

/** Bytes that a process caused to be written to storage: whole pages of files that it made dirty. */
export async function storageBytes(pid: number): Promise<number> {
  return await field(`/proc/${pid}/io`, /^write_bytes: (\d+)$/m)
}

/** Bytes that a process handed to write(2) and its kin, for files, sockets and pipes together. */
export async function writtenBytes(pid: number): Promise<number> {
  return await field(`/proc/${pid}/io`, /^wchar: (\d+)$/m)
}

/** What the open file handles of a process lead to: paths of files, and `socket:[…]`, `pipe:[…]`, `anon_inode:…`. */
export async function openHandles(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`
  // One may be closed between the listing and the look.
  const targets = (await readdir(folder)).map(name => readlink(join(folder, name)).catch(() => undefined))
  return (await Promise.all(targets)).filter(target => target !== undefined)
}

/** Bytes in all files under `folder`. */
export async function folderBytes(folder: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    // A file may go away between the listing and the look: LevelDB tidies up behind itself.
    bytes += await stat(join(entry.parentPath, entry.name)).then(
      found => found.size,
      () => 0,
    )
  }
  return bytes
}

async function field(file: string, pattern: RegExp): Promise<number> {
  const found = pattern.exec(await readFile(file, 'utf8'))?.[1]
  if (found === undefined) throw new Error(`${file} has no ${pattern.source}`)
  return Number(found)
}
