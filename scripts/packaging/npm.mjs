/** Packages from npm, fetched once and kept under node_modules/.cache, each unpacked in a folder of its own. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './run.mjs'

/**
 * The folder with the content of `name` in `version`. With `integrity`, as package-lock.json has it, the archive must be
 * that one.
 */
export function fetchPackage({ name, version, integrity, cache }) {
  const folder = join(cache, 'npm', `${name.replaceAll('/', '+')}-${version}`)
  if (existsSync(folder)) return join(folder, 'package')
  mkdirSync(join(cache, 'npm'), { recursive: true })
  const work = mkdtempSync(join(cache, 'npm', '.work-'))
  try {
    run('npm', ['pack', '--silent', `${name}@${version}`], { cwd: work })
    const [archive] = readdirSync(work)
    if (integrity !== undefined) {
      const [algorithm, wanted] = integrity.split('-')
      const found = createHash(algorithm)
        .update(readFileSync(join(work, archive)))
        .digest('base64')
      if (found !== wanted) throw new Error(`${name} ${version} is not what package-lock.json says`)
    }
    run('tar', ['-xzf', archive, '--no-same-owner'], { cwd: work })
    rmSync(join(work, archive))
    renameSync(work, folder)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return join(folder, 'package')
}
