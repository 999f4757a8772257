/**
 * What the guest boots from: an initramfs with the drivers, a read-only disk with Node and the built gateway, and the
 * disk that the plug is pulled from. The second is a disk and no part of the initramfs, which would be read into
 * memory and unpacked at every boot.
 */
import { chmod, copyFile, cp, mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { build, ROOT } from '../../support/gateway.ts'
import { findBinary } from '../../support/needs.ts'
import { guestKernel, type Kernel } from './kernel.ts'
import { succeed } from './succeed.ts'

/** Node, its libraries and the gateway take half of it. The file has holes. */
const SYSTEM_DISK = '300M'
/** Several times what the longest run stores. */
const DATA_DISK = '1G'
/** Where the gateway listens in the guest. */
export const GUEST_PORT = 1883

export interface Images {
  kernel: string
  initramfs: string
  system: string
  data: string
}

/** Builds the gateway when it is stale, and makes the images in `folder`. `config`: YAML, to which listeners and data folder are added. */
export async function buildImages(folder: string, config: string): Promise<Images> {
  await build()
  const kernel = await guestKernel()
  const images = {
    kernel: kernel.image,
    initramfs: '',
    system: join(folder, 'system.img'),
    data: join(folder, 'data.img'),
  }
  images.initramfs = await buildInitramfs(folder, kernel)
  await layOutSystem(join(folder, 'system'), config)
  const mke2fs = findBinary('mke2fs') ?? 'mke2fs'
  await succeed(
    mke2fs,
    ['-q', '-F', '-t', 'ext4', '-O', '^has_journal', '-d', 'system', images.system, SYSTEM_DISK],
    folder,
  )
  await succeed(mke2fs, ['-q', '-F', '-t', 'ext4', images.data, DATA_DISK], folder)
  return images
}

async function buildInitramfs(folder: string, kernel: Kernel): Promise<string> {
  const root = join(folder, 'initramfs')
  for (const name of ['bin', 'proc', 'sys', 'dev', 'root']) await mkdir(join(root, name), { recursive: true })
  const busybox = findBinary('busybox') ?? 'busybox'
  await copyFile(busybox, join(root, 'bin/busybox'))
  await cp(kernel.modules, join(root, 'modules'), { recursive: true })
  await copyFile(join(ROOT, 'test/torture/guest/init.sh'), join(root, 'init'))
  await chmod(join(root, 'init'), 0o755)
  await succeed('sh', ['-c', `find . | '${busybox}' cpio -o -H newc >../initramfs.cpio`], root)
  return join(folder, 'initramfs.cpio')
}

async function layOutSystem(root: string, config: string): Promise<void> {
  for (const name of ['proc', 'sys', 'dev', 'tmp', 'data', 'usr/bin', 'app/dist']) {
    await mkdir(join(root, name), { recursive: true })
  }
  await copyFile(process.execPath, join(root, 'usr/bin/node'))
  // Each line names a library by its path, but for the one that the kernel brings.
  const libraries = (await succeed('ldd', [process.execPath], ROOT)).flatMap(line => /\/\S+/.exec(line) ?? [])
  const app = join(root, 'app')
  const built = (await readdir(join(ROOT, 'dist')))
    .filter(name => /\.js$|^package\.json$/.test(name))
    .map(name => join('dist', name))
  const packages = await succeed(process.execPath, ['scripts/build.mjs', '--packages'], ROOT)
  for (const library of libraries) await copy(library, join(root, library))
  for (const path of ['package.json', ...built, ...packages]) await copy(join(ROOT, path), join(app, path))
  await writeFile(
    join(app, 'larder.yaml'),
    `listeners: ['mqtt://0.0.0.0:${GUEST_PORT}']\naccess: { allow_anonymous: true }\ndata_dir: /data\n${config}\n`,
  )
}

async function copy(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true })
  await cp(from, to, { recursive: true, dereference: true })
}
