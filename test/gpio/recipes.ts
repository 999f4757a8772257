/** The three machines: what each needs, and how it is run. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { ROOT } from '../support/gateway.ts'
import { findBinary } from '../support/needs.ts'
import { succeed } from '../torture/guest/succeed.ts'
import { arm64Machine, fillArm64 } from './arm64.ts'
import { runGuest } from './guest/guest.ts'
import { buildInitramfs, ownFiles } from './guest/image.ts'
import { buildSimKernel } from './kernel-sim.ts'
import { Packages, type Suite } from './packages.ts'
import { fetchTools, VERSIONS } from './tools.ts'

const CACHE = join(ROOT, 'node_modules/.cache/larder-gpio')

export interface Recipe {
  readonly name: string
  readonly what: string
  /** Why it cannot be run here; undefined when it can. Fetches and builds what it needs, in `folder`. */
  missing(folder: string): Promise<string | undefined>
  /** True when everything was shown. */
  run(folder: string, note: (line: string) => void): Promise<boolean>
}

export const RECIPES: readonly Recipe[] = [
  {
    name: 'A',
    what: 'simulated chips on x64',
    missing: async folder => {
      if (process.arch !== 'x64') return 'the guest is made of the Node of this machine, which is not x64'
      const programs = { 'qemu-system-x86_64': 'qemu-system-x86', make: 'make', gcc: 'gcc', setpriv: 'util-linux' }
      return missingPrograms(programs) ?? (await cached('sim', folder, fillSim))
    },
    run: async (folder, note) => {
      const kept = join(CACHE, 'sim')
      const machine = {
        files: await ownFiles(),
        busybox: findBinary('busybox') ?? 'busybox',
        tools: kept,
        modules: join(kept, 'modules'),
      }
      return await runGuest({
        qemu: 'qemu-system-x86_64',
        // One processor: with two, one may stand still while the other pulses on, which is no test of anything.
        machine: ['-cpu', 'max', '-m', '1024', '-nodefaults', '-no-user-config'],
        kernel: join(kept, 'vmlinuz'),
        initramfs: await buildInitramfs(folder, machine, 'sim'),
        append: 'console=ttyS0 quiet panic=-1 mitigations=off',
        note,
      })
    },
  },
  {
    name: 'B',
    what: "QEMU's own arm64 machine, a PL061",
    missing: missingArm64,
    run: (folder, note) => runArm64(folder, { name: 'pl061', machine: VIRT, append: 'console=ttyAMA0', note }),
  },
  {
    name: 'C',
    what: 'a Raspberry Pi 3 on arm64',
    missing: missingArm64,
    run: (folder, note) =>
      runArm64(folder, {
        name: 'bcm2835',
        machine: ['-M', 'raspi3b', '-dtb', join(CACHE, 'arm64/raspberry.dtb')],
        append: 'console=ttyAMA0',
        note,
      }),
  },
]

const VIRT = ['-M', 'virt', '-cpu', 'cortex-a53', '-smp', '2', '-m', '1024']

async function missingArm64(folder: string): Promise<string | undefined> {
  const programs = { 'qemu-system-aarch64': 'qemu-system-arm', npm: 'npm' }
  const fill = (work: string, kept: string) => fillArm64(suitesOf('arm64', work), work, kept)
  return missingPrograms(programs) ?? (await cached('arm64', folder, fill))
}

async function runArm64(
  folder: string,
  how: { name: string; machine: readonly string[]; append: string; note: (line: string) => void },
): Promise<boolean> {
  const kept = join(CACHE, 'arm64')
  const machine = await arm64Machine(folder, kept)
  if (!machine.hasOnoff) how.note('inputs through gpiod alone, because g++-aarch64-linux-gnu is not installed')
  return await runGuest({
    qemu: 'qemu-system-aarch64',
    machine: how.machine,
    kernel: join(kept, 'vmlinuz'),
    initramfs: await buildInitramfs(folder, machine, `${how.name} ${machine.hasOnoff ? 'onoff' : 'gpiod'}`),
    append: `${how.append} quiet panic=-1`,
    monitor: join(folder, 'monitor'),
    note: how.note,
  })
}

async function fillSim(folder: string, kept: string): Promise<void> {
  const suites = suitesOf('amd64', folder)
  await buildSimKernel(suites.bookworm, folder, kept)
  for (const version of VERSIONS) await fetchTools(version, suites[version.suite], { folder, kept })
}

function suitesOf(arch: Suite['arch'], folder: string): Record<Suite['name'], Packages> {
  return {
    bookworm: new Packages({ name: 'bookworm', arch }, folder),
    trixie: new Packages({ name: 'trixie', arch }, folder),
  }
}

/** What must be installed, by the packages that have it; or undefined. */
function missingPrograms(programs: Readonly<Record<string, string>>): string | undefined {
  const needed = { ...programs, 'apt-get': 'apt', 'dpkg-deb': 'dpkg', xz: 'xz-utils' }
  const packages = Object.entries(needed).flatMap(([program, name]) =>
    findBinary(program) === undefined ? [name] : [],
  )
  if (!hasStaticBusybox()) packages.push('busybox-static')
  if (packages.length === 0) return undefined
  return `${packages.join(' and ')} is not installed (as root: apt-get install ${packages.join(' ')})`
}

/** The first process of a guest has no libraries. */
function hasStaticBusybox(): boolean {
  const path = findBinary('busybox')
  // ldd fails for a program that needs no libraries.
  return path !== undefined && spawnSync('ldd', [path], { stdio: 'ignore' }).status !== 0
}

/** Fills a folder of the cache unless it is there. Gives the reason when that fails. */
async function cached(
  name: string,
  folder: string,
  fill: (folder: string, kept: string) => Promise<void>,
): Promise<string | undefined> {
  if (existsSync(join(CACHE, name))) return undefined
  const kept = join(folder, 'kept')
  try {
    await mkdir(kept)
    await mkdir(CACHE, { recursive: true })
    await fill(folder, kept)
    // As one, so that a half-filled folder is never found; it may lie on another disk.
    await succeed('cp', ['-a', kept, join(CACHE, `${name}.new`)], folder)
    await rename(join(CACHE, `${name}.new`), join(CACHE, name))
    return undefined
  } catch (error) {
    return `what it needs cannot be had: ${error instanceof Error ? error.message.split('\n').slice(0, 3).join(' ') : error}`
  }
}
