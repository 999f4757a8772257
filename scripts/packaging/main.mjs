/** Behind `scripts/package`: reads its command line and makes the packages that it names. */
import { readFileSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { COMMON, describeDeb, inFolder, packDeb } from './deb.mjs'
import { makeNode } from './node.mjs'
import { ownArchitecture, TARGETS } from './targets.mjs'
import { fillTree, MAX_INSTALLED } from './tree.mjs'

const root = resolve(import.meta.dirname, '../..')
const { withNode, out, chosen } = readArguments(process.argv.slice(2))
const cache = join(root, 'node_modules/.cache/larder-package')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

function makeGateway(arch) {
  return inFolder(tree => packGateway(arch, tree))
}

function packGateway(arch, tree) {
  const left = fillTree({ root, tree, arch, target: TARGETS[arch], cache })
  for (const what of left) process.stderr.write(`package: ${arch}: ${what}\n`)
  const archive = packDeb({
    tree,
    out,
    time: Number(process.env.SOURCE_DATE_EPOCH),
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
  const { installed } = describeDeb(archive)
  if (installed > MAX_INSTALLED) {
    throw new Error(`${basename(archive)} installs ${installed} bytes; the budget is ${MAX_INSTALLED}`)
  }
  return archive
}

/** Prints what the archive is, and returns what the lists say of it. */
function told(archive) {
  const { installed, size, sha256 } = describeDeb(archive)
  const file = basename(archive)
  process.stdout.write(`${sha256}  ${file}  ${megabytes(size)} MB, installed ${megabytes(installed)} MB\n`)
  return { file, sha256 }
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
  const made = chosen.map(arch => ({ arch, ...told(makeGateway(arch)) }))
  const withTheirs = chosen.filter(arch => withNode && TARGETS[arch].node !== undefined)
  const nodes = withTheirs.map(arch => told(makeNode({ arch, out, cache })))
  writeFileSync(join(out, 'SHA256SUMS'), [...made, ...nodes].map(({ file, sha256 }) => `${sha256}  ${file}\n`).join(''))
  // What `larder update` reads.
  const packages = Object.fromEntries(made.map(({ arch, file, sha256 }) => [arch, { file, sha256 }]))
  writeFileSync(join(out, 'larder.json'), `${JSON.stringify({ version, packages }, undefined, 2)}\n`)
} catch (error) {
  process.stderr.write(`package: ${error.message}\n`)
  process.exitCode = 1
}
