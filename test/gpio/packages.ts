/**
 * Packages of Debian, unpacked and not installed: apt works in folders of its own, so that the system it runs on stays
 * as it is, whatever Debian it is and whatever processor it has.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { succeed } from '../torture/guest/succeed.ts'

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
/** Deadline in ms for lists, and for the sources of a kernel (150 MB). */
const FETCH_TIMEOUT = 300_000

export interface Suite {
  readonly name: 'bookworm' | 'trixie'
  readonly arch: 'amd64' | 'arm64' | 'armhf'
}

/** One suite for one processor. Everything it fetches lies in `folder`, which the caller takes away. */
export class Packages {
  readonly #suite: Suite
  readonly #folder: string
  readonly #options: string[]

  constructor(suite: Suite, folder: string) {
    this.#suite = suite
    this.#folder = join(folder, `${suite.name}-${suite.arch}`)
    const at = (name: string) => join(this.#folder, name)
    this.#options = [
      '-qq',
      ...Object.entries({
        'Dir::State': at('state'),
        'Dir::State::status': at('status'),
        'Dir::Cache': at('cache'),
        'Dir::Etc::sourcelist': at('sources.list'),
        'Dir::Etc::sourceparts': at('parts'),
        'Acquire::Languages': 'none',
        'APT::Sandbox::User': 'root',
        'APT::Architecture': suite.arch,
        'APT::Architectures': suite.arch,
      }).flatMap(([key, value]) => ['-o', `${key}=${value}`]),
    ]
  }

  /** Names of the packages that begin with `prefix`. */
  async names(prefix: string): Promise<string[]> {
    await this.#update()
    return await succeed('apt-cache', [...this.#options, 'pkgnames', prefix], this.#folder)
  }

  /** The first package that `name`, one without content, depends on. */
  async behind(name: string): Promise<string> {
    await this.#update()
    const described = await succeed('apt-cache', [...this.#options, 'show', '--no-all-versions', name], this.#folder)
    const found = described.map(line => /^Depends: ([^ ,]+)/.exec(line)?.[1]).find(each => each !== undefined)
    if (found === undefined) throw new Error(`${name} depends on nothing`)
    return found
  }

  /** `names` with everything that they depend on. */
  async withDependencies(names: readonly string[]): Promise<string[]> {
    await this.#update()
    const command = [...this.#options, '--simulate', '--no-install-recommends', 'install', ...names]
    // `-qq` is silent of what is only simulated.
    const planned = await succeed('apt-get', command.slice(1), this.#folder)
    return planned.flatMap(line => /^Inst (\S+)/.exec(line)?.[1] ?? [])
  }

  /** Unpacks packages into `to`. */
  async unpack(names: readonly string[], to: string): Promise<void> {
    await this.#update()
    const folder = join(this.#folder, `debs-${names[0]}`)
    await mkdir(folder, { recursive: true })
    await mkdir(to, { recursive: true })
    await succeed('apt-get', [...this.#options, 'download', ...names], folder, FETCH_TIMEOUT)
    for (const archive of (await readdir(folder)).filter(file => file.endsWith('.deb'))) {
      await succeed('dpkg-deb', ['-x', archive, to], folder, FETCH_TIMEOUT)
    }
  }

  async #update(): Promise<void> {
    if (existsSync(join(this.#folder, 'sources.list'))) return
    for (const name of ['state/lists/partial', 'cache/archives/partial', 'parts']) {
      await mkdir(join(this.#folder, name), { recursive: true })
    }
    await writeFile(join(this.#folder, 'status'), '')
    const signed = `deb [signed-by=${KEYRING}]`
    const { name } = this.#suite
    const [main, security] = await Promise.all([site('Debian'), site('Debian-Security').catch(() => undefined)])
    const update = async (lines: readonly string[]) => {
      await writeFile(join(this.#folder, 'sources.list'), `${lines.join('\n')}\n`)
      await succeed('apt-get', [...this.#options, 'update'], this.#folder, FETCH_TIMEOUT)
    }
    const release = `${signed} ${main} ${name} main`
    if (security === undefined) return update([release])
    // A mirror in the middle of its work may lack the updates of one processor.
    await update([release, `${signed} ${security} ${name}-security main`]).catch(() => update([release]))
  }
}

/** Where this machine gets Debian from. */
async function site(label: string): Promise<string> {
  const format = ['--format', '$(SITE) $(LABEL)', 'Created-By: Packages']
  const sites = await succeed('apt-get', ['indextargets', ...format], '/')
  const found = sites.map(line => line.split(' ')).find(([, its]) => its === label)?.[0]
  if (found === undefined) throw new Error(`this machine has no source of ${label}`)
  return found
}
