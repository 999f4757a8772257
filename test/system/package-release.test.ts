/**
 * What is published can be made again: the same sources give the same bytes, from the build to the package, wherever they lie and
 * whoever makes it. Two whole builds: only where `scripts/test pi` asks for it.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { ROOT } from '../support/gateway.ts'
import { needs } from '../support/needs.ts'

/** Deadline in ms: two whole builds, on a busy machine. */
const TWICE = 240_000

const isWanted = process.env.LARDER_TEST_PACKAGE !== undefined
if (!isWanted) process.stderr.write('skipped: whether a release can be made again, because scripts/test pi finds out\n')

describe.skipIf(!isWanted || !needs('dpkg-deb') || !needs('git'))('a release', () => {
  const folder = mkdtempSync(join(tmpdir(), 'larder-release-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** The sources as they are here, committed or not, in a folder of their own. */
  function copyTo(name: string): string {
    const to = join(folder, name)
    const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: ROOT })
    for (const path of listed.toString().split('\0').filter(Boolean)) {
      mkdirSync(dirname(join(to, path)), { recursive: true })
      cpSync(join(ROOT, path), join(to, path))
    }
    symlinkSync(join(ROOT, 'node_modules'), join(to, 'node_modules'))
    return to
  }

  /** The package that is made there, and what was said of it. */
  function packIn(checkout: string, umask: string, env: Record<string, string>) {
    const said = execFileSync('bash', ['-c', `umask ${umask}; exec scripts/package --out made amd64`], {
      cwd: checkout,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, SOURCE_DATE_EPOCH: '1700000000', ...env },
    })
    return { said, bytes: readFileSync(join(checkout, 'made', said.split(/\s+/)[1]!)) }
  }

  test('is the same bytes in another folder, time zone, language and umask', { timeout: TWICE }, () => {
    const one = packIn(copyTo('one'), '022', { TZ: 'UTC', LC_ALL: 'C' })
    const two = packIn(copyTo('far/away/two'), '077', { TZ: 'Asia/Tokyo', LC_ALL: 'C.UTF-8', HOME: folder })
    process.stderr.write(one.said)
    expect(two.said).toBe(one.said)
    expect(two.bytes.equals(one.bytes)).toBe(true)
  })

  test('is not made of what nobody else has', () => {
    const checkout = join(folder, 'checkout')
    execFileSync('git', ['clone', '--quiet', ROOT, checkout])
    symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'))
    writeFileSync(join(checkout, 'README.md'), 'mine')
    cpSync(join(ROOT, 'scripts/release'), join(checkout, 'scripts/release'))
    const { status, stderr } = spawnSync('bash', ['scripts/release', '--no-image'], { cwd: checkout, encoding: 'utf8' })
    expect(stderr).toContain('not committed')
    expect(status).toBe(1)
  })
})
