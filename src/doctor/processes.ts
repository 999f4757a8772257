/** Who on this machine has a file or a port open, from /proc. Of other users' processes only root is told. */
import { readdir, readFile, readlink, realpath } from 'node:fs/promises'
import { join } from 'node:path'

export interface Holder {
  readonly pid: number
  readonly name: string
}

/** The processes that have `target` open: a path, or `socket:[inode]`. */
export async function holdersOf(targets: readonly string[], proc: string): Promise<Holder[]> {
  const pids = (await readdir(proc).catch(() => [])).filter(name => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async pid => {
      const folder = join(proc, pid, 'fd')
      const names = await readdir(folder).catch(() => [])
      const links = await Promise.all(names.map(name => readlink(join(folder, name)).catch(() => '')))
      if (!links.some(link => targets.includes(link))) return undefined
      const name = (await readFile(join(proc, pid, 'comm'), 'utf8').catch(() => '?')).trim()
      return { pid: Number(pid), name }
    }),
  )
  return found.filter(each => each !== undefined)
}

/** The gateway that has the store of a data folder open. */
export async function gatewayOn(dataDir: string, proc: string): Promise<Holder[]> {
  const lock = await realpath(join(dataDir, 'store/LOCK')).catch(() => undefined)
  return lock === undefined ? [] : holdersOf([lock], proc)
}

/** The processes that listen on a TCP port of this machine. */
export async function listenersOn(port: number, proc: string): Promise<Holder[]> {
  const tables = await Promise.all(
    ['net/tcp', 'net/tcp6'].map(name => readFile(join(proc, name), 'utf8').catch(() => '')),
  )
  const inodes = tables
    .flatMap(table => table.split('\n'))
    .flatMap(line => {
      // Local address, remote address, state (0A: it listens), …, inode.
      const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/)
      return state === '0A' && Number.parseInt(local.split(':')[1] ?? '', 16) === port ? [`socket:[${inode}]`] : []
    })
  return inodes.length === 0 ? [] : holdersOf(inodes, proc)
}

export function named(holders: readonly Holder[]): string {
  return holders.map(({ pid, name }) => `${name} (process ${pid})`).join(', ')
}
