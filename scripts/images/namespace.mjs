/**
 * Programs for the Pi's processor, on this machine: `emulated` runs one program of the image by itself; `inNamespace` runs a
 * command in namespaces of its own, in which the kernel gives every such program to QEMU. The machine stays as it is.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { run } from '../packaging/run.mjs'

const QEMU = 'qemu-aarch64-static'
/** How the kernel knows programs for arm64, and who runs them: Debian's own line. */
const FORMAT = '/usr/lib/binfmt.d/qemu-aarch64.conf'
/** All users that a system may have. */
const USERS = '0 0 65536\n'
/** Deadline in ms for a namespace to be there, and how often it is looked for. */
const ENTER_TIMEOUT = 5_000
const ENTER_POLL = 10

/** Runs a program out of `root`, which has no needs but its libraries. Returns what it printed. */
export function emulated(root, program, args, { name = program, ...options } = {}) {
  return run(QEMU, ['-0', name, '-L', root, join(root, program), ...args], options)
}

/** Runs a shell script, with `args` as its $1 and so on. Resolves with what it printed, rejects with what it complained of. */
export async function inNamespace(script, args = [], { env = process.env } = {}) {
  if (!existsSync(FORMAT)) throw new Error(`${FORMAT} is not there; it comes with Debian's qemu-user-static`)
  const register = `mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    printf %s "$0" >/proc/sys/fs/binfmt_misc/register`
  // It waits at its stdin until its users are known to the kernel.
  const whole = `read -r _; set -e; ${process.arch === 'arm64' ? ':' : register}; ${script}`
  const format = readFileSync(FORMAT, 'utf8').split('\n')[0]
  const shell = ['sh', '-c', whole, format, ...args]
  const child = spawn('unshare', ['--user', '--mount', '--propagation', 'private', ...shell], { env })
  let [output, complaint] = ['', '']
  child.stdout.on('data', chunk => (output += chunk))
  child.stderr.on('data', chunk => (complaint += chunk))
  const ended = new Promise((resolve, reject) => child.once('error', reject).once('close', resolve))
  await Promise.race([ended, mapUsers(child)])
  const status = await ended
  if (status !== 0) throw new Error(`${complaint.trim().split('\n').slice(-15).join('\n')}\nexit status ${status}`)
  return output
}

async function mapUsers(child) {
  const before = readlinkSync('/proc/self/ns/user')
  for (const deadline = Date.now() + ENTER_TIMEOUT; readlinkSync(`/proc/${child.pid}/ns/user`) === before; ) {
    if (Date.now() > deadline) throw new Error('this machine gives no namespace')
    await sleep(ENTER_POLL)
  }
  writeFileSync(`/proc/${child.pid}/uid_map`, USERS)
  writeFileSync(`/proc/${child.pid}/gid_map`, USERS)
  child.stdin.end('\n')
}
