/**
 * A Debian in a folder, whose own systemd runs as process 1 in namespaces of its own: services, their users and their
 * hardening are the real ones, on the kernel of this machine. It has a network of its own, with nothing in it but itself.
 *
 * Made by mmdebstrap once and kept under node_modules/.cache as an archive; each root is unpacked from it.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { ROOT } from './gateway.ts'
import { findBinary } from './needs.ts'
import { Process } from './process.ts'
import { until } from './wait.ts'

export const CACHE = join(ROOT, 'node_modules/.cache/larder-package')
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
/** Deadlines in ms: of a Debian that is made, of one that boots, of a command in it. */
const MAKE_TIMEOUT = 300_000
const BOOT_TIMEOUT = 60_000
const COMMAND_TIMEOUT = 120_000
const NAMESPACES = ['--pid', '--mount', '--uts', '--ipc', '--net', '--cgroup']

export interface Outcome {
  readonly status: number | null
  /** Of both streams. */
  readonly output: string
}

/** Why no root can be made here; undefined when one can. */
export function whyNoDebianRoot(): string | undefined {
  if (process.getuid?.() !== 0) return 'it takes root'
  const missing = ['mmdebstrap', 'unshare', 'nsenter', 'dpkg-deb', 'ip'].filter(name => findBinary(name) === undefined)
  if (missing.length > 0) return `${missing.join(', ')} is not installed`
  if (!existsSync(KEYRING)) return 'this machine has no keys of Debian'
  const namespaces = spawnSync('unshare', [...NAMESPACES, '--fork', 'true'], { encoding: 'utf8' })
  return namespaces.status === 0 ? undefined : `this machine gives no namespaces: ${namespaces.stderr.trim()}`
}

/** Why `fetch` cannot fetch what it fetches; undefined when it did. */
export async function whyNotFetched(fetch: () => unknown): Promise<string | undefined> {
  try {
    await fetch()
    return undefined
  } catch (error) {
    return `it cannot be fetched: ${(error as Error).message.split('\n').slice(0, 2).join(' ')}`
  }
}

/** Where this machine gets Debian from. */
export function debianSite(): string {
  const sites = execFileSync('apt-get', ['indextargets', '--format', '$(SITE) $(LABEL)', 'Created-By: Packages'])
  const found = /^(\S+) Debian$/m.exec(sites.toString())?.[1]
  if (found === undefined) throw new Error('this machine has no source of Debian')
  return found
}

/** The archive of a Debian with `packages`; made if it is not there. */
export function debianArchive(name: string, suite: string, packages: readonly string[]): string {
  const archive = join(CACHE, `${name}.tar`)
  if (existsSync(archive)) return archive
  mkdirSync(CACHE, { recursive: true })
  const source = `deb [signed-by=${KEYRING}] ${debianSite()} ${suite} main`
  const include = packages.length === 0 ? [] : [`--include=${packages.join(',')}`]
  const args = ['--mode=root', '--variant=minbase', ...include, suite, `${archive}.part`, '--format=tar', source]
  execFileSync('mmdebstrap', args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: MAKE_TIMEOUT })
  renameSync(`${archive}.part`, archive)
  return archive
}

export class DebianRoot implements AsyncDisposable {
  readonly folder: string
  #unshare: Process | undefined
  #init: string | undefined

  private constructor(folder: string) {
    this.folder = folder
  }

  static async unpack(archive: string): Promise<DebianRoot> {
    const folder = await mkdtemp(join(tmpdir(), 'larder-debian-'))
    execFileSync('tar', ['-xpf', archive, '--numeric-owner', '--exclude=./dev/*', '-C', folder])
    execFileSync('chmod', ['755', folder])
    await writeFile(join(folder, 'etc/hosts'), '127.0.0.1 localhost\n::1 localhost\n')
    return new DebianRoot(folder)
  }

  /** Starts its systemd and waits until that has started what it starts. */
  async boot(): Promise<void> {
    const script = join(ROOT, 'test/support/boot-root.sh')
    const args = [...NAMESPACES, '--fork', '--kill-child=KILL', 'sh', script, this.folder]
    const unshare = new Process('unshare', args, { group: true })
    this.#unshare = unshare
    const children = `/proc/${unshare.pid}/task/${unshare.pid}/children`
    const what = () => `systemd in ${this.folder}: ${unshare.errors.join(' ')}`
    this.#init = await until(
      () => {
        const init = existsSync(children) ? readFileSync(children, 'utf8').trim() : ''
        return init !== '' && readFileSync(`/proc/${init}/comm`, 'utf8') === 'systemd\n' ? init : undefined
      },
      { timeout: BOOT_TIMEOUT, what },
    )
    await until(() => /^(running|degraded)/m.test(this.run('systemctl is-system-running').output), {
      timeout: BOOT_TIMEOUT,
      every: 200,
      what,
    })
  }

  /** The words before a command that has it run in there, as root. */
  get way(): string {
    const clean = '/usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin'
    const into = this.#init === undefined ? '' : `nsenter --target ${this.#init} --all `
    return `${into}chroot ${this.folder} ${clean}`
  }

  /** Runs a shell command in it, as root, to its end. */
  run(command: string, { timeout = COMMAND_TIMEOUT }: { timeout?: number } = {}): Outcome {
    const [program = '', ...args] = [...this.way.split(' '), '/bin/sh', '-c', command]
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout, killSignal: 'SIGKILL' })
    return { status, output: `${stdout}${stderr}` }
  }

  /** Like `run`, and the command must succeed. Returns what it printed. */
  succeed(command: string): string {
    const { status, output } = this.run(command)
    if (status !== 0) throw new Error(`${command}: exit status ${status}: ${output}`)
    return output.trim()
  }

  /** Puts a file of this machine into its /root. Returns the path there. */
  async bring(path: string): Promise<string> {
    const to = `/root/${basename(path)}`
    await copyFile(path, join(this.folder, to))
    return to
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#unshare !== undefined) await this.#unshare[Symbol.asyncDispose]()
    await rm(this.folder, { recursive: true, force: true })
  }
}
