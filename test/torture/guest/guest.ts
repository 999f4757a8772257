/**
 * The gateway in a machine of its own, whose plug can be pulled: QEMU, killed by SIGKILL. What the guest's kernel had
 * given to its disk is in the image file; what it had only in memory is gone, as on a Pi. The next start boots on
 * what is left: ext4 replays its journal, the gateway opens its store.
 *
 * Clients reach it through QEMU's user network. The serial console is its log, and is looked through for what must
 * never be there: what the scenario looks for in every gateway's log, and here the faults of the machine.
 */
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../support/free-port.ts'
import { RawClient } from '../../support/mqtt-client.ts'
import { findBinary } from '../../support/needs.ts'
import { Process } from '../../support/process.ts'
import type { Victim } from '../victim.ts'
import { buildImages, GUEST_PORT, type Images } from './image.ts'
import { guestKernel } from './kernel.ts'

const QEMU = 'qemu-system-x86_64'
/** Programs that the rig needs, each with its Debian package. */
const PROGRAMS: [string, string][] = [
  [QEMU, 'qemu-system-x86'],
  ['busybox', 'busybox-static'],
  ['mke2fs', 'e2fsprogs'],
]
/** Deadline in ms of a boot, which takes 6 s on an idle machine. */
const BOOT_TIMEOUT = 60_000
/** What the kernel and init.sh must not say. What the gateway must not say is known to the scenario. */
const FAULT = /guest: FAULT|EXT4-fs error|I\/O error|Kernel panic|Out of memory/

/** Why no guest can run here, or undefined when one can. Fetches the kernel. */
export async function guestMissing(): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return 'the guest is made of the Node of this machine, which is not x64'
  const missing = PROGRAMS.filter(([program]) => !isUsable(program)).map(([, name]) => name)
  if (missing.length > 0)
    return `${missing.join(' and ')} is not installed (as root: apt-get install ${missing.join(' ')})`
  return await guestKernel().then(
    () => undefined,
    (error: Error) => `Debian's kernel package cannot be had: ${error.message}`,
  )
}

/** The guest's busybox must be the static one: the first process of the guest has no libraries. */
function isUsable(program: string): boolean {
  const path = findBinary(program)
  // ldd fails for a program that needs no libraries.
  return path !== undefined && (program !== 'busybox' || spawnSync('ldd', [path], { stdio: 'ignore' }).status !== 0)
}

export class Guest implements Victim, AsyncDisposable {
  readonly port: number
  /** Holds the images. */
  readonly folder: string
  /** What the machine itself complained of. */
  readonly faults: string[] = []
  /** Boots at which ext4 had a journal to replay. */
  replays = 0
  readonly #images: Images
  #machine: Process | undefined
  #isDead = true
  #isKept = false

  constructor(place: { port: number; folder: string; images: Images }) {
    this.port = place.port
    this.folder = place.folder
    this.#images = place.images
  }

  /**
   * Resolves when the gateway is ready and has served a client: on an emulated processor that is half a second later,
   * and a cut that comes before finds nobody who was promised anything.
   */
  async start(): Promise<void> {
    const { kernel, initramfs, system, data } = this.#images
    const machine = new Process(findBinary(QEMU) ?? QEMU, [
      ...['-accel', 'tcg', '-cpu', 'max', '-m', '512', '-nodefaults', '-no-user-config', '-no-reboot'],
      ...['-display', 'none', '-serial', 'stdio'],
      ...['-kernel', kernel, '-initrd', initramfs, '-append', 'console=ttyS0 quiet panic=-1 mitigations=off'],
      ...[
        '-drive',
        `file=${system},if=none,id=system,format=raw,readonly=on`,
        '-device',
        'virtio-blk-pci,drive=system',
      ],
      ...['-drive', `file=${data},if=none,id=data,format=raw`, '-device', 'virtio-blk-pci,drive=data'],
      ...['-netdev', `user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:${this.port}-:${GUEST_PORT}`],
      ...['-device', 'virtio-net-pci,netdev=net,romfile='],
    ])
    this.#machine = machine
    this.#isDead = false
    await machine.line(line => line.startsWith('larder: ready'), { timeout: BOOT_TIMEOUT })
    await this.#served()
  }

  async kill(): Promise<void> {
    const machine = this.#machine
    if (machine === undefined || this.#isDead) return
    this.#isDead = true
    await machine.kill('SIGKILL')
    this.faults.push(...machine.lines.filter(line => FAULT.test(line)))
    if (machine.lines.some(line => line.startsWith('guest: journal replayed'))) this.replays += 1
  }

  /** There is no orderly end here: that is what a pulled plug is. */
  async stop(): Promise<void> {
    await this.kill()
  }

  /** The images stay when the guest is disposed of. */
  keepFolder(): void {
    this.#isKept = true
  }

  get log(): string {
    return this.#machine?.lines.join('\n') ?? ''
  }

  async #served(): Promise<void> {
    const caller = { port: this.port, clientId: 'first', clean: true, patience: BOOT_TIMEOUT }
    await using client = await RawClient.connect(caller)
    await client.publish('first', '', { qos: 1 })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    if (!this.#isKept) await rm(this.folder, { recursive: true, force: true })
  }
}

/** Makes the images and the guest, which is not started yet. `config` is the gateway's, without listeners and data folder. */
export async function buildGuest(config: string): Promise<Guest> {
  const folder = await mkdtemp(join(tmpdir(), 'larder-guest-'))
  try {
    return new Guest({ port: await freePort(), folder, images: await buildImages(folder, config) })
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}
