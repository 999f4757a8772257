/**
 * The guest's kernel: Debian's for clouds, which brings the file system built in and the drivers of QEMU's devices
 * as modules. Its package is unpacked, not installed; what the guest needs of it (12 MB) is kept under
 * `node_modules/.cache`.
 */
import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { ROOT } from '../../support/gateway.ts'
import { succeed } from './succeed.ts'

const CACHE = join(ROOT, 'node_modules/.cache/larder-guest')
/** Depends on the package of the current version. */
const PACKAGE = 'linux-image-cloud-amd64'
/** What the guest cannot do without. A module that the package has not is built into its kernel. */
const MODULES = ['crc32c_generic', 'ext4', 'virtio_pci', 'virtio_blk', 'virtio_net']
/** Deadline in ms for a download of 30 MB. */
const FETCH_TIMEOUT = 120_000

export interface Kernel {
  image: string
  /** Folder of modules whose names sort in the order in which they can be loaded. */
  modules: string
}

/** The kernel in the cache, which is filled first when it is empty. Rejects when Debian's package cannot be had. */
export async function guestKernel(): Promise<Kernel> {
  if (!existsSync(CACHE)) await fetch()
  return { image: join(CACHE, 'vmlinuz'), modules: join(CACHE, 'modules') }
}

async function fetch(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'larder-kernel-'))
  try {
    const described = await succeed('apt-cache', ['show', '--no-all-versions', PACKAGE], folder)
    const name = described
      .map(line => /^Depends: (linux-image-[^ ,]+)/.exec(line)?.[1])
      .find(found => found !== undefined)
    if (name === undefined) throw new Error(`${PACKAGE} does not name a kernel`)
    await succeed('apt-get', ['download', '-qq', name], folder, FETCH_TIMEOUT)
    const archive = (await readdir(folder)).find(file => file.endsWith('.deb'))
    if (archive === undefined) throw new Error(`apt-get did not download ${name}`)
    await succeed('dpkg-deb', ['-x', archive, 'unpacked'], folder)
    await keep(join(folder, 'unpacked'), join(folder, 'kept'))
    await mkdir(dirname(CACHE), { recursive: true })
    await succeed('mv', ['-T', join(folder, 'kept'), CACHE], folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Copies the kernel and the modules, uncompressed and numbered, out of the unpacked package. */
async function keep(unpacked: string, kept: string): Promise<void> {
  await mkdir(join(kept, 'modules'), { recursive: true })
  const files = await readdir(unpacked, { recursive: true })
  const image = files.find(file => basename(file).startsWith('vmlinuz-'))
  if (image === undefined) throw new Error('the package has no kernel')
  await copyFile(join(unpacked, image), join(kept, 'vmlinuz'))

  const found = new Map<string, Buffer>()
  const paths = new Map(files.filter(isModule).map(file => [moduleName(file), join(unpacked, file)]))
  const visit = async (name: string): Promise<void> => {
    const path = paths.get(name)
    if (path === undefined || found.has(name)) return
    const content = path.endsWith('.xz') ? await decompressed(path) : await readFile(path)
    for (const needed of dependencies(content)) await visit(needed)
    found.set(name, content)
  }
  for (const name of MODULES) await visit(name)
  let order = 10
  for (const [name, content] of found) await writeFile(join(kept, 'modules', `${order++}-${name}.ko`), content)
}

function isModule(path: string): boolean {
  return /\.ko(\.xz)?$/.test(path)
}

/** Files are written with hyphens or underscores, dependencies always with underscores. */
function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko.*$/, '')
    .replaceAll('-', '_')
}

/** The modules that a module names as those it needs. */
function dependencies(module: Buffer): string[] {
  const named = /\0depends=([^\0]*)\0/.exec(module.toString('latin1'))?.[1] ?? ''
  return named.split(',').filter(Boolean)
}

async function decompressed(path: string): Promise<Buffer> {
  await succeed('xz', ['-d', path], dirname(path))
  return await readFile(path.slice(0, -'.xz'.length))
}
