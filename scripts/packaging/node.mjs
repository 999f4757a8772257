/**
 * The package larder-node. Neither what is in it nor its date depend on the commit: a version of it is the same bytes in every
 * release, as apt takes for granted. To compress it takes a minute, so it is kept until something here changes.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { COMMON, inFolder, packDeb } from './deb.mjs'
import { fetchPackage } from './npm.mjs'
import { NODE_VERSION, TARGETS } from './targets.mjs'

/** Puts it into the folder `out`. Returns its path. */
export function makeNode({ arch, out, cache }) {
  const folder = join(cache, 'debs')
  const name = `larder-node_${NODE_VERSION}_${arch}.deb`
  const kept = join(folder, name)
  if (!existsSync(kept) || statSync(kept).mtimeMs < newest(import.meta.dirname)) {
    mkdirSync(folder, { recursive: true })
    inFolder(work => {
      copyFileSync(packNode(arch, { tree: join(work, 'tree'), out: join(work, 'out'), cache }), `${kept}.part`)
      renameSync(`${kept}.part`, kept)
    })
  }
  mkdirSync(out, { recursive: true })
  const path = join(out, name)
  copyFileSync(kept, path)
  return path
}

function packNode(arch, { tree, out, cache }) {
  const from = fetchPackage({ name: TARGETS[arch].node, version: NODE_VERSION, cache })
  const [program, papers] = [join(tree, 'usr/lib/larder-node'), join(tree, 'usr/share/doc/larder-node')]
  for (const folder of [program, papers]) mkdirSync(folder, { recursive: true })
  copyFileSync(join(from, 'bin/node'), join(program, 'node'))
  copyFileSync(join(from, 'LICENSE'), join(papers, 'copyright'))
  return packDeb({
    tree,
    out,
    // The same date for all that npm packs.
    time: Math.floor(statSync(join(from, 'bin/node')).mtimeMs / 1000),
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

/** When a file of the folder was last changed, in ms. */
function newest(folder) {
  return Math.max(...readdirSync(folder).map(name => statSync(join(folder, name)).mtimeMs))
}
