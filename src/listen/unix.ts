/**
 * The file of a Unix socket. A process that was killed leaves its socket behind, and the next cannot be bound there. Only
 * a socket that nobody answers is taken away; what somebody listens on, or what is no socket, stays.
 */
import { once } from 'node:events'
import { lstat, stat, unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { systemCodeOf } from '../kernel/errors.ts'

/**
 * Makes room for a socket at `path`. Rejects with EADDRINUSE when one answers, with EEXIST when there is something else,
 * with ENOENT when its folder is missing (which the system's answer to binding it hides from Node).
 */
export async function clearStaleSocket(path: string): Promise<void> {
  await stat(dirname(path))
  const found = await lstat(path).catch(error => {
    if (systemCodeOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (found === undefined) return
  if (!found.isSocket()) throw Object.assign(new Error('not a socket'), { code: 'EEXIST' })
  if (await answers(path)) throw Object.assign(new Error('in use'), { code: 'EADDRINUSE' })
  await unlink(path).catch(error => {
    if (systemCodeOf(error) !== 'ENOENT') throw error
  })
}

async function answers(path: string): Promise<boolean> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return true
  } catch (error) {
    const code = systemCodeOf(error)
    // Anything else (no right to connect, a full backlog) is a sign that somebody may be there.
    return code !== 'ECONNREFUSED' && code !== 'ENOENT'
  } finally {
    socket.destroy()
  }
}
