/** What a server of old did by itself and Node does not: going into the background, and giving up the rights of root. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'

/** Starts this program with `args` in a session of its own, with nothing of ours open. Resolves when it runs. */
export async function startInBackground(args: readonly string[]): Promise<void> {
  const script = process.argv[1] as string
  const child = spawn(process.execPath, [...process.execArgv, script, ...args], { detached: true, stdio: 'ignore' })
  await once(child, 'spawn')
  child.unref()
}

/** Becomes `user`, with its groups, for good. Throws when there is no such user. */
export function become(user: string): void {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find(each => each.startsWith(`${user}:`))
  const [, , uid, gid] = line?.split(':') ?? []
  if (uid === undefined || gid === undefined) {
    throw new Error(`Unable to drop privileges to '${user}' because this user does not exist.`)
  }
  // Not in the types of Node yet.
  ;(process as unknown as { initgroups(user: string, group: number): void }).initgroups(user, Number(gid))
  process.setgid?.(Number(gid))
  process.setuid?.(Number(uid))
}
