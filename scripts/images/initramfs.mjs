/**
 * What the kernel starts with: busybox, the modules that a card is read with, and device/image/initramfs/init. Written in the
 * kernel's own form (cpio, "newc") by us, because it has five kinds of entries here and no date or number of this machine.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { run } from '../packaging/run.mjs'
import { filesIn } from '../packaging/tree.mjs'
import { emulated } from './namespace.mjs'

/**
 * Devices between the processor and the partition, on every board, and QEMU's; those that are built into the kernel too, in
 * case one day they are not. The watchdog, because systemd looks for it once.
 */
const MODULES = [
  ...['clk-raspberrypi', 'reset-raspberrypi', 'gpio-raspberrypi-exp'],
  ...['gpio-regulator', 'fixed', 'bcm2835-dma', 'bcm2835', 'sdhci-iproc', 'mmc_block'],
  ...['phy-generic', 'pcie-brcmstb', 'xhci-pci', 'dwc2', 'usb-storage', 'uas', 'sd_mod', 'nvme'],
  ...['virtio_pci', 'virtio_mmio', 'virtio_blk', 'crc32c_generic', 'ext4', 'bcm2835_wdt', 'i6300esb'],
]
const REGULAR = 0o100000
const FOLDER = 0o040000
const DEVICE = 0o020000

/** Returns the archive. `work` is an empty folder. */
export function makeInitramfs({ root, version, init, work }) {
  const from = join(root, 'usr/lib/modules', version)
  const to = join(work, 'lib/modules', version)
  for (const path of withDependencies(from)) {
    const plain = join(to, path.replace(/\.xz$/, ''))
    mkdirSync(dirname(plain), { recursive: true })
    writeFileSync(plain, run('xz', ['-dc', join(from, path)], { encoding: 'buffer', maxBuffer: 2 ** 26 }))
  }
  for (const name of ['modules.builtin', 'modules.builtin.modinfo', 'modules.order']) {
    writeFileSync(join(to, name), readFileSync(join(from, name)))
  }
  emulated(root, 'usr/bin/kmod', ['-b', work, version], { name: 'depmod' })
  const entries = [
    { name: 'dev', mode: FOLDER | 0o755 },
    // Where init says what goes wrong before it has any device.
    { name: 'dev/console', mode: DEVICE | 0o600, major: 5, minor: 1 },
    { name: 'init', mode: REGULAR | 0o755, content: readFileSync(init) },
    { name: 'bin', mode: FOLDER | 0o755 },
    { name: 'bin/busybox', mode: REGULAR | 0o755, content: readFileSync(join(root, 'usr/bin/busybox')) },
    { name: 'etc', mode: FOLDER | 0o755 },
    { name: 'etc/modules', mode: REGULAR | 0o644, content: Buffer.from(`${MODULES.join('\n')}\n`) },
    ...entriesOf(work),
  ]
  return Buffer.concat(
    [...entries, { name: 'TRAILER!!!', mode: 0 }].map((entry, index) => entryBytes(entry, index + 1)),
  )
}

/** Paths of the files of MODULES and what they need, below `folder`. A module that is neither there nor built in is refused. */
function withDependencies(folder) {
  const needs = new Map()
  for (const line of readFileSync(join(folder, 'modules.dep'), 'utf8').split('\n').filter(Boolean)) {
    const [path, ...others] = line.split(/:? /)
    needs.set(path.replace(/:$/, ''), others)
  }
  const byName = new Map([...needs.keys()].map(path => [moduleName(path), path]))
  const builtIn = new Set(readFileSync(join(folder, 'modules.builtin'), 'utf8').split('\n').map(moduleName))
  const found = new Set()
  for (const name of MODULES.map(moduleName)) {
    const path = byName.get(name)
    if (path !== undefined) for (const each of [path, ...needs.get(path)]) found.add(each)
    else if (!builtIn.has(name)) throw new Error(`Debian's kernel has no module ${name} any more`)
  }
  return [...found].sort()
}

function moduleName(path) {
  return basename(path)
    .replace(/\.ko.*$/, '')
    .replaceAll('-', '_')
}

/** Folders and files below `folder`/lib, folders first. */
function entriesOf(folder) {
  const below = readdirSync(join(folder, 'lib'), { recursive: true, withFileTypes: true })
  const folders = below.filter(entry => entry.isDirectory()).map(entry => join(entry.parentPath, entry.name))
  const names = ['lib', ...folders.map(path => path.slice(folder.length + 1)).sort()]
  return [
    ...names.map(name => ({ name, mode: FOLDER | 0o755 })),
    ...filesIn(join(folder, 'lib')).map(name => {
      return { name: `lib/${name}`, mode: REGULAR | 0o644, content: readFileSync(join(folder, 'lib', name)) }
    }),
  ]
}

/** One entry: a header of hexadecimal numbers, the name, the content, each filled up to four bytes. */
function entryBytes({ name, mode, content = Buffer.alloc(0), major = 0, minor = 0 }, inode) {
  const numbers = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, major, minor, name.length + 1, 0]
  const header = `070701${numbers.map(number => number.toString(16).padStart(8, '0')).join('')}${name}\0`
  return Buffer.concat([filled(Buffer.from(header)), filled(content)])
}

function filled(bytes) {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)])
}
