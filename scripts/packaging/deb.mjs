/** A Debian package from a tree: control files, one owner, one date, one order of bytes. */
import { createHash } from 'node:crypto'
import {
  chmodSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from './run.mjs'
import { filesIn } from './tree.mjs'

/** Fields that all packages have in common. */
export const COMMON = { Maintainer: 'The Larder authors', Section: 'net', Priority: 'optional' }

const MAINTAINER_SCRIPTS = ['preinst', 'postinst', 'prerm', 'postrm']

/**
 * Packs `tree`. `fields` are those of the control file, without Installed-Size; `scripts` is a folder with maintainer
 * scripts, where `@VERSION@` stands for the version; `time`, in seconds, is what the files bear. Returns the archive's path.
 */
export function packDeb({ tree, out, fields, scripts, time }) {
  const files = filesIn(tree)
  const installed = files.reduce((sum, name) => sum + lstatSync(join(tree, name)).size, 0)
  const control = join(tree, 'DEBIAN')
  mkdirSync(control)
  const all = { ...fields, 'Installed-Size': Math.ceil(installed / 1024) }
  writeFileSync(
    join(control, 'control'),
    `${Object.entries(all)
      .map(([key, value]) => `${key}: ${value}\n`)
      .join('')}`,
  )
  const configuration = files.filter(name => name.startsWith('etc/'))
  if (configuration.length > 0)
    writeFileSync(join(control, 'conffiles'), configuration.map(name => `/${name}\n`).join(''))
  const sums = files.filter(name => !name.startsWith('etc/') && lstatSync(join(tree, name)).isFile())
  writeFileSync(join(control, 'md5sums'), sums.map(name => `${md5(join(tree, name))}  ${name}\n`).join(''))
  if (scripts !== undefined) {
    for (const name of MAINTAINER_SCRIPTS) {
      const text = readFileSync(join(scripts, name), 'utf8')
      writeFileSync(join(control, name), text.replaceAll('@VERSION@', fields.Version))
    }
  }
  settle(tree, time)
  const archive = join(out, `${fields.Package}_${fields.Version}_${fields.Architecture}.deb`)
  mkdirSync(out, { recursive: true })
  // More than one thread of xz gives other bytes on another machine.
  run('dpkg-deb', ['--root-owner-group', '-Zxz', '--build', tree, archive], {
    env: { ...process.env, DPKG_DEB_THREADS_MAX: '1', SOURCE_DATE_EPOCH: `${time}` },
  })
  return archive
}

/** What `use` makes of a temporary folder, which goes afterwards. */
export function inFolder(use) {
  const folder = mkdtempSync(join(tmpdir(), 'larder-package-'))
  try {
    return use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The bytes of a package, those that it installs (in whole KiB), and its SHA-256. */
export function describeDeb(archive) {
  const installed = 1024 * Number(run('dpkg-deb', ['--field', archive, 'Installed-Size']))
  return { archive, installed, size: statSync(archive).size, sha256: digest('sha256', archive) }
}

/** Modes and times that do not depend on who packs. */
function settle(tree, time) {
  const visit = path => {
    const stat = lstatSync(path)
    if (stat.isDirectory()) {
      for (const name of readdirSync(path)) visit(join(path, name))
      chmodSync(path, 0o755)
    } else if (stat.isFile()) chmodSync(path, isProgram(path) ? 0o755 : 0o644)
    lutimesSync(path, time, time)
  }
  visit(tree)
}

/** Scripts, but not those that Node.js loads; and Node.js itself. */
function isProgram(path) {
  const begins = readFileSync(path).subarray(0, 4).toString('latin1')
  return (begins.startsWith('#!') && !path.endsWith('.js')) || (begins === '\x7fELF' && !path.endsWith('.node'))
}

function md5(path) {
  return digest('md5', path)
}

function digest(algorithm, path) {
  return createHash(algorithm).update(readFileSync(path)).digest('hex')
}
