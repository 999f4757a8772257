/**
 * The image of `scripts/image` in a machine: QEMU's `virt`, with the kernel, the initramfs and the command line that lie on the
 * image's own boot partition, as a Pi's firmware would hand them over. Each card is a copy, whose larder.txt a test may write
 * as an owner does on a laptop.
 *
 * What the machine writes goes to an overlay whose tables are in QEMU's memory until the guest asks for a flush. So a plug
 * that is pulled (SIGKILL) takes with it what a real card may lose: the guest's memory, and writes that were not flushed.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { ROOT } from './gateway.ts'
import { findBinary } from './needs.ts'
import { type Exit, Process, run } from './process.ts'

const FOLDER = join(ROOT, 'dist/images')
const PROGRAMS = {
  'qemu-system-aarch64': 'qemu-system-arm',
  'qemu-img': 'qemu-utils',
  mcopy: 'mtools',
  ssh: 'openssh-client',
}
/** Of a card that one can buy, more or less; and QEMU's Pi takes powers of two only. */
const CARD = '2G'
/** Where the boot partition begins. */
const BOOT = '@@4M'
/** Deadlines in ms of a boot and of a command, on an emulated processor. */
export const BOOT_TIMEOUT = 300_000
const COMMAND_TIMEOUT = 180_000
/** Where the gateway listens in there. */
const MQTT_PORT = 1883

/** Why there is no machine here; undefined when there is one. */
export function whyNoCard(): string | undefined {
  if (process.env.LARDER_TEST_IMAGE === undefined) return 'scripts/test image runs them'
  const missing = Object.entries(PROGRAMS).filter(([name]) => findBinary(name) === undefined)
  if (missing.length > 0) return `${missing.map(([, name]) => name).join(' and ')} is not installed`
  return image() === undefined ? 'there is no image: scripts/image --raw makes it' : undefined
}

/** The path of the image; undefined when none was made. */
export function image(): string | undefined {
  const name = existsSync(FOLDER) ? readdirSync(FOLDER).find(file => file.endsWith('.img')) : undefined
  return name === undefined ? undefined : join(FOLDER, name)
}

export class Card implements AsyncDisposable {
  readonly folder: string
  /** On 127.0.0.1: the gateway's, and that of SSH. */
  readonly port: number
  readonly sshPort: number
  /** Milliseconds from the start of the machine to the gateway's word that it is ready, of the last start. */
  readyAfter = 0
  #machine: Process | undefined

  private constructor(fields: { folder: string; port: number; sshPort: number }) {
    this.folder = fields.folder
    this.port = fields.port
    this.sshPort = fields.sshPort
  }

  /** A fresh card with `settings` in its larder.txt, and an SSH key of its own. */
  static async write(settings: string): Promise<Card> {
    const folder = await mkdtemp(join(tmpdir(), 'larder-card-'))
    const card = new Card({ folder, port: await freePort(), sshPort: await freePort() })
    const written = join(folder, 'card.img')
    execFileSync('cp', ['--sparse=always', image()!, written])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', join(folder, 'key')])
    const key = readFileSync(join(folder, 'key.pub'), 'utf8')
    writeFileSync(join(folder, 'larder.txt'), `ssh_key = ${key}${settings}`)
    execFileSync('mcopy', ['-o', '-i', `${written}${BOOT}`, join(folder, 'larder.txt'), '::larder.txt'])
    for (const name of ['vmlinuz', 'initrd.img', 'cmdline.txt', 'bcm2837-rpi-3-b.dtb']) {
      execFileSync('mcopy', ['-n', '-i', `${written}${BOOT}`, `::${name}`, join(folder, name)])
    }
    const overlay = ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', written, join(folder, 'card.qcow2'), CARD]
    execFileSync('qemu-img', overlay)
    return card
  }

  /** Puts it into a machine. Resolves when its gateway says that it is ready. */
  async start(): Promise<void> {
    const begun = performance.now()
    this.#machine = this.#run([
      ...['-serial', 'stdio', '-M', 'virt', '-cpu', 'cortex-a72', '-smp', '2', '-m', '512'],
      ...['-append', `${this.#commandLine} console=ttyAMA0`],
      ...['-drive', `file=${join(this.folder, 'card.qcow2')},if=none,id=card,cache=writeback`],
      ...['-device', 'virtio-blk-pci,drive=card', '-device', 'virtio-rng-pci', '-device', 'i6300esb'],
      ...[
        '-netdev',
        `user,id=net,restrict=on,${this.#forward(this.port, MQTT_PORT)},${this.#forward(this.sshPort, 22)}`,
      ],
      ...['-device', 'virtio-net-pci,netdev=net,romfile='],
    ])
    await this.#machine.line(line => line.includes('larder: ready'), { timeout: BOOT_TIMEOUT })
    this.readyAfter = performance.now() - begun
  }

  /**
   * Puts it into QEMU's Raspberry Pi 3, with the description of that board from the card. That board's watchdog is left alone:
   * QEMU has no timer behind it, and whoever sets one has the machine reset at once.
   */
  startPi(): Process {
    this.#machine = this.#run([
      // Its console is the second line.
      ...['-serial', 'null', '-serial', 'stdio', '-M', 'raspi3b', '-dtb', join(this.folder, 'bcm2837-rpi-3-b.dtb')],
      ...['-append', `${this.#commandLine} console=ttyS1,115200 loglevel=7 systemd.watchdog_sec=off`],
      ...['-drive', `file=${join(this.folder, 'card.qcow2')},if=sd,cache=writeback`],
    ])
    return this.#machine
  }

  /** Pulls the plug. */
  async pull(): Promise<void> {
    await this.#machine?.kill('SIGKILL')
  }

  /** Resolves when the machine has ended by itself. */
  async ended(): Promise<Exit | undefined> {
    return await this.#machine?.exit
  }

  /** The lines of its console since the last start. */
  get console(): readonly string[] {
    return this.#machine?.lines ?? []
  }

  /** What a shell command printed in there, run as root, which must succeed. */
  async succeed(command: string, { timeout = COMMAND_TIMEOUT }: { timeout?: number } = {}): Promise<string> {
    const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'BatchMode=yes']
    const args = ['-p', `${this.sshPort}`, '-i', join(this.folder, 'key'), ...options.flatMap(option => ['-o', option])]
    const { code, lines, errors } = await run('ssh', [...args, 'root@127.0.0.1', command], { timeout })
    if (code !== 0) throw new Error(`${command}: exit status ${code}\n${[...lines, ...errors].join('\n')}`)
    return lines.join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pull()
    await rm(this.folder, { recursive: true, force: true })
  }

  #run(args: readonly string[]): Process {
    const [kernel, initrd] = [join(this.folder, 'vmlinuz'), join(this.folder, 'initrd.img')]
    const always = ['-accel', 'tcg', '-display', 'none', '-no-reboot', '-kernel', kernel, '-initrd', initrd]
    return new Process('qemu-system-aarch64', [...always, ...args])
  }

  get #commandLine(): string {
    return readFileSync(join(this.folder, 'cmdline.txt'), 'utf8').trim()
  }

  #forward(port: number, guest: number): string {
    return `hostfwd=tcp:127.0.0.1:${port}-:${guest}`
  }
}
