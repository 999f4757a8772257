/** Behind `scripts/image`: reads its command line, and makes the image from its parts. */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { run } from '../packaging/run.mjs'
import { debianArchive } from './debian.mjs'
import { makeDisk } from './disk.mjs'
import { makeInitramfs } from './initramfs.mjs'
import { fillRoot } from './root.mjs'

const checkout = resolve(import.meta.dirname, '../..')
const cache = join(checkout, 'node_modules/.cache/larder-image')
const files = join(checkout, 'device/image')
/** Of the firmware, for the boards with 64 bits: the plain one, without cameras and debugging. */
const FIRMWARE = ['bootcode.bin', 'start.elf', 'fixup.dat', 'start4.elf', 'fixup4.dat']
/** Fixed blocks, so that the number of threads does not tell in the bytes. */
const COMPRESS = ['--threads=0', '--block-size=16MiB', '-6', '--keep', '--force']

const { raw, fresh, out } = readArguments(process.argv.slice(2))
const { version } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8'))
const epoch = Number(process.env.SOURCE_DATE_EPOCH)

async function make(work) {
  const folder = name => {
    const path = join(work, name)
    mkdirSync(path)
    return path
  }
  const archive = await debianArchive({ cache, fresh, say })
  say('Larder’s packages')
  const packages = folder('packages')
  run('node', ['scripts/packaging/main.mjs', '--with-node', '--out', packages, 'arm64'], { cwd: checkout })
  const debs = readdirSync(packages)
    .filter(name => name.endsWith('.deb'))
    .sort()
    .map(name => join(packages, name))
  say('the system')
  const [root, data, boot] = [folder('root'), folder('data'), folder('boot')]
  const made = await fillRoot({ checkout, archive, debs, root, data, boot, epoch })
  const init = join(files, 'initramfs/init')
  const initramfs = join(work, 'initrd.img')
  writeFileSync(initramfs, makeInitramfs({ root, version: made.version, init, work: folder('initramfs') }))
  say('the card')
  mkdirSync(out, { recursive: true })
  const image = join(out, `larder_${version}_arm64.img`)
  makeDisk({ image, boot: bootFiles(boot, made.version, initramfs), root, data, work, epoch })
  const list = join(out, `larder_${version}_arm64.packages`)
  writeFileSync(list, made.packages)
  if (raw) return [image, list]
  say('compressing')
  run('xz', [...COMPRESS, image])
  rmSync(image)
  return [`${image}.xz`, list]
}

/** Names on the boot partition, and the files. */
function bootFiles(folder, version, initramfs) {
  const boards = join(folder, `linux-image-${version}/broadcom`)
  return [
    ...FIRMWARE.map(name => [name, join(folder, 'raspi-firmware', name)]),
    ...readdirSync(boards)
      .sort()
      .map(name => [name, join(boards, name)]),
    ['vmlinuz', join(folder, `boot/vmlinuz-${version}`)],
    ['initrd.img', initramfs],
    ...['config.txt', 'cmdline.txt', 'larder.txt'].map(name => [name, join(files, 'boot', name)]),
  ]
}

async function digest(path) {
  const hash = createHash('sha256')
  const file = await open(path)
  for await (const chunk of file.createReadStream()) hash.update(chunk)
  return hash.digest('hex')
}

function say(what) {
  process.stderr.write(`image: ${what}\n`)
}

function readArguments(args) {
  try {
    const options = {
      raw: { type: 'boolean' },
      fresh: { type: 'boolean' },
      out: { type: 'string', default: join(checkout, 'dist/images') },
    }
    const { values } = parseArgs({ args, options })
    return { raw: values.raw === true, fresh: values.fresh === true, out: resolve(values.out) }
  } catch (error) {
    process.stderr.write(`image: ${error.message}\nusage: scripts/image [--raw] [--fresh] [--out DIR]\n`)
    process.exit(2)
  }
}

// Folders of the image get their rights from it.
process.umask(0o022)
const work = mkdtempSync(join(tmpdir(), 'larder-image-'))
try {
  const made = await make(work)
  const sums = []
  for (const path of made) {
    const sum = await digest(path)
    sums.push(`${sum}  ${basename(path)}\n`)
    process.stdout.write(`${sum}  ${basename(path)}  ${(statSync(path).size / 1e6).toFixed(1)} MB\n`)
  }
  writeFileSync(join(out, 'SHA256SUMS'), sums.join(''))
} catch (error) {
  process.stderr.write(`image: ${error.message}\n`)
  process.exitCode = 1
} finally {
  rmSync(work, { recursive: true, force: true })
}
