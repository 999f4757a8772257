/**
 * The installed tree of a package: the program with the packages that are not in its bundle, of these only what runs and only
 * the compiled parts of the target, and the files under device/rootfs/ at their places.
 */
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { buildEpoll } from './epoll.mjs'
import { fetchPackage } from './npm.mjs'
import { run } from './run.mjs'

/** Where the program is on the target, as it came out of the package; `activate` copies it to where it runs. */
const PROGRAM = 'usr/lib/larder/package'
/** Bytes that the installed tree may have, without Node.js: it is read from a card, and there are cards of 4 GB. */
export const MAX_INSTALLED = 15_000_000

/** Only compiled from, or types: nothing of these is loaded when the program runs. */
const NOT_RUN = /^node_modules\/(@types\/|@node-rs\/argon2-|undici-types$|nan$|napi-macros$|node-addon-api$)/
/** What runs, and what its license asks to be passed on with it. */
const RUNS = /(\.(js|cjs|mjs|json|node)|\/licen[cs]e[^/]*)$/i
const NOT_NEEDED = /(^|\/)(tests?|docs?|examples?|benchmarks?|deps|build|\.github)\/|(\.|^|\/)(test|config)\.[cm]?js$/

/** Fills `tree`, an empty folder. Returns what had to be left out, each with its reason. */
export function fillTree({ root, tree, arch, target, cache }) {
  const program = join(tree, PROGRAM)
  for (const name of ['bin/larder', 'package.json', 'LICENSE']) copy(join(root, name), join(program, name))
  for (const name of filesIn(join(root, 'dist')).filter(name => /^([^/]+\.js|package\.json)$|^page\//.test(name))) {
    copy(join(root, 'dist', name), join(program, 'dist', name))
  }
  const packages = run('node', ['scripts/build.mjs', '--packages'], { cwd: root }).trim().split('\n')
  for (const folder of packages.filter(folder => !NOT_RUN.test(folder))) copyPackage(root, folder, program, target)
  addArgon2(root, program, target, cache)
  const epoll = join(program, 'node_modules/epoll')
  const reason = buildEpoll({ root, folder: epoll, arch, target, cache })
  if (reason !== undefined)
    for (const name of ['epoll', 'onoff']) rmSync(join(program, 'node_modules', name), { recursive: true, force: true })
  cpSync(join(root, 'device/rootfs'), tree, { recursive: true })
  mkdirSync(join(tree, 'usr/bin'), { recursive: true })
  symlinkSync('../lib/larder/current/bin/larder', join(tree, 'usr/bin/larder'))
  addDocuments(root, join(tree, 'usr/share/doc/larder'))
  return reason === undefined ? [] : [`onoff is left out, pins are used through gpiod: ${reason}`]
}

function copyPackage(root, folder, program, { prebuilds }) {
  for (const name of filesIn(join(root, folder))) {
    const [, prebuild] = /^(?:.*\/)?prebuilds\/(.+)$/.exec(name) ?? []
    const isWanted = prebuild === undefined ? RUNS.test(`/${name}`) && !NOT_NEEDED.test(name) : prebuilds.test(prebuild)
    if (isWanted) copy(join(root, folder, name), join(program, folder, name))
  }
}

function addArgon2(root, program, target, cache) {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const { version, integrity } = lock.packages[`node_modules/${target.argon2}`]
  const from = fetchPackage({ name: target.argon2, version, integrity, cache })
  for (const name of filesIn(from).filter(name => RUNS.test(`/${name}`))) {
    copy(join(from, name), join(program, 'node_modules', target.argon2, name))
  }
}

function addDocuments(root, folder) {
  copy(join(root, 'README.md'), join(folder, 'README.md'))
  copy(join(root, 'LICENSE'), join(folder, 'copyright'))
  for (const part of ['docs', 'examples']) {
    for (const name of filesIn(join(root, part))) copy(join(root, part, name), join(folder, part, name))
  }
}

/** Paths of the files below a folder, sorted. */
export function filesIn(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter(entry => !entry.isDirectory())
    .map(entry => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort()
}

function copy(from, to) {
  mkdirSync(dirname(to), { recursive: true })
  copyFileSync(from, to)
}
