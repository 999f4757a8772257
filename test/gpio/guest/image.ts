/**
 * What a guest boots from: one initramfs with Node, the built gateway, the tools of gpiod and the scenario. All of it is
 * in memory then, so the guest needs no disk and no driver for one.
 */
import { chmod, copyFile, cp, mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { build, ROOT } from '../../support/gateway.ts'
import { findBinary } from '../../support/needs.ts'
import { succeed } from '../../torture/guest/succeed.ts'
import { TOOLS_FOLDER, VERSIONS } from '../tools.ts'

/** Where the guest has Node. */
export const NODE = '/usr/bin/node'

/** Programs and libraries of one processor. */
export interface Machine {
  /** Paths here, to be found under the same paths there; or pairs of the two. */
  readonly files: readonly (string | readonly [from: string, to: string])[]
  readonly busybox: string
  /** Folder of the tools of gpiod. */
  readonly tools: string
  /** Folder of modules whose names sort in the order in which they can be loaded; absent: none is needed. */
  readonly modules?: string | undefined
}

/** Builds the gateway when it is stale, and gives the initramfs, made in `folder`. */
export async function buildInitramfs(folder: string, machine: Machine, scenario: string): Promise<string> {
  await build()
  const root = join(folder, 'root')
  for (const name of ['bin', 'proc', 'sys', 'dev', 'tmp', 'modules', 'app', 'usr/bin', 'opt']) {
    await mkdir(join(root, name), { recursive: true })
  }
  await copyFile(machine.busybox, join(root, 'bin/busybox'))
  await copyFile(join(ROOT, 'test/gpio/guest/init.sh'), join(root, 'init'))
  await chmod(join(root, 'init'), 0o755)
  await writeFile(join(root, 'scenario'), `${scenario}\n`)
  if (machine.modules !== undefined) await cp(machine.modules, join(root, 'modules'), { recursive: true })
  for (const { name } of VERSIONS) {
    await cp(join(machine.tools, name), join(root, TOOLS_FOLDER, name), { recursive: true })
  }
  await layOutGateway(join(root, 'app'))
  // After the gateway: its native parts for another processor take the place of this one's.
  for (const file of machine.files) {
    const [from, to] = typeof file === 'string' ? [file, file] : file
    await copy(from, join(root, to))
  }
  const busybox = findBinary('busybox') ?? 'busybox'
  await succeed('sh', ['-c', `find . | '${busybox}' cpio -o -H newc >../initramfs.cpio`], root)
  return join(folder, 'initramfs.cpio')
}

/** This machine's own Node and programs, with their libraries. */
export async function ownFiles(): Promise<Machine['files']> {
  const programs = { [process.execPath]: NODE, [findBinary('setpriv') ?? 'setpriv']: '/usr/bin/setpriv' }
  const libraries = await Promise.all(Object.keys(programs).map(program => succeed('ldd', [program], ROOT)))
  // Each line names a library by its path, but for the one that the kernel brings.
  return [...Object.entries(programs), ...new Set(libraries.flat().flatMap(line => /\/\S+/.exec(line) ?? []))]
}

async function layOutGateway(app: string): Promise<void> {
  const built = (await readdir(join(ROOT, 'dist')))
    .filter(name => /\.js$|^package\.json$/.test(name))
    .map(name => join('dist', name))
  const packages = await succeed(process.execPath, ['scripts/build.mjs', '--packages'], ROOT)
  for (const path of ['package.json', ...built, ...packages]) await copy(join(ROOT, path), join(app, path))
  const esbuild = join(ROOT, 'node_modules/.bin/esbuild')
  const options = ['--bundle', '--platform=node', '--format=esm', '--target=node20', '--log-level=warning']
  // Bundled CommonJS asks for Node's own modules by `require`.
  const banner =
    "--banner:js=import{createRequire as larderRequire}from'node:module';const require=larderRequire(import.meta.url)"
  const from = join(ROOT, 'test/gpio/guest/scenario.ts')
  await succeed(esbuild, [from, ...options, banner, `--outfile=${join(app, 'scenario.js')}`], ROOT)
}

async function copy(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true })
  await cp(from, to, { recursive: true, dereference: true })
}
