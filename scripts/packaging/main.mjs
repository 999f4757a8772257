/** Behind `scripts/package`: reads its command line and makes the packages that it names. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { packDeb } from './deb.mjs'
import { fetchPackage } from './npm.mjs'
import { NODE_VERSION, ownArchitecture, TARGETS } from './targets.mjs'
import { fillTree, MAX_INSTALLED } from './tree.mjs'

const root = resolve(import.meta.dirname, '../..')
const { withNode, out, chosen } = readArguments(process.argv.slice(2))
const cache = join(root, 'node_modules/.cache/larder-package')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

const COMMON = { Maintainer: 'The Larder authors', Section: 'net', Priority: 'optional' }

function makeGateway(arch, tree) {
  const left = fillTree({ root, tree, arch, target: TARGETS[arch], cache })
  for (const what of left) process.stderr.write(`package: ${arch}: ${what}\n`)
  const made = packDeb({
    tree,
    out,
    scripts: join(import.meta.dirname, 'debian'),
    fields: {
      Package: 'larder',
      Version: version,
      Architecture: arch,
      ...COMMON,
      Depends: 'nodejs (>= 20.19) | larder-node, systemd (>= 247), libc6 (>= 2.31), libstdc++6 (>= 10)',
      Recommends: 'gpiod',
      Description: [
        'MQTT gateway for a Raspberry Pi',
        ' Broker, sensors, durable store and bridge in one process. A message that was',
        ' acknowledged is on the disk, or nobody waits for it any more.',
      ].join('\n'),
    },
  })
  if (made.installed > MAX_INSTALLED) {
    throw new Error(`${basename(made.archive)} installs ${made.installed} bytes; the budget is ${MAX_INSTALLED}`)
  }
  return made
}

function makeNode(arch, tree) {
  const from = fetchPackage({ name: TARGETS[arch].node, version: NODE_VERSION, cache })
  const [program, papers] = [join(tree, 'usr/lib/larder-node'), join(tree, 'usr/share/doc/larder-node')]
  for (const folder of [program, papers]) mkdirSync(folder, { recursive: true })
  copyFileSync(join(from, 'bin/node'), join(program, 'node'))
  copyFileSync(join(from, 'LICENSE'), join(papers, 'copyright'))
  return packDeb({
    tree,
    out,
    fields: {
      Package: 'larder-node',
      Version: NODE_VERSION,
      Architecture: arch,
      ...COMMON,
      Depends: 'libc6 (>= 2.28), libstdc++6 (>= 10)',
      Description: [
        'Node.js for larder, where the system has an older one',
        ' The official binary, as npm has it, for larder alone: `node` stays what it is.',
      ].join('\n'),
    },
  })
}

function make(maker, arch) {
  const tree = mkdtempSync(join(tmpdir(), 'larder-package-'))
  try {
    const { archive, installed, size, sha256 } = maker(arch, tree)
    process.stdout.write(
      `${sha256}  ${basename(archive)}  ${megabytes(size)} MB, installed ${megabytes(installed)} MB\n`,
    )
    return { file: basename(archive), sha256 }
  } finally {
    rmSync(tree, { recursive: true, force: true })
  }
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1)
}

function readArguments(args) {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { 'with-node': { type: 'boolean' }, out: { type: 'string', default: join(root, 'dist/packages') } },
    })
    const [wanted = ownArchitecture(), ...more] = positionals
    const chosen = wanted === 'all' ? Object.keys(TARGETS) : [wanted]
    const unknown = more[0] ?? chosen.find(arch => !Object.hasOwn(TARGETS, arch ?? ''))
    if (unknown !== undefined) throw new Error(`there is no architecture "${unknown}"`)
    return { withNode: values['with-node'] === true, out: resolve(values.out), chosen }
  } catch (error) {
    const known = [...Object.keys(TARGETS), 'all'].join('|')
    process.stderr.write(`package: ${error.message}\nusage: scripts/package [--with-node] [--out DIR] [${known}]\n`)
    process.exit(2)
  }
}

try {
  const made = chosen.map(arch => ({ arch, ...make(makeGateway, arch) }))
  const nodes = chosen.filter(arch => withNode && TARGETS[arch].node !== undefined).map(arch => make(makeNode, arch))
  writeFileSync(join(out, 'SHA256SUMS'), [...made, ...nodes].map(({ file, sha256 }) => `${sha256}  ${file}\n`).join(''))
  // What `larder update` reads.
  const packages = Object.fromEntries(made.map(({ arch, file, sha256 }) => [arch, { file, sha256 }]))
  writeFileSync(join(out, 'larder.json'), `${JSON.stringify({ version, packages }, undefined, 2)}\n`)
} catch (error) {
  process.stderr.write(`package: ${error.message}\n`)
  process.exitCode = 1
}
