/** `larder update` against a web server and a folder; test/system/package.test.ts puts a package in for real. */
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { run } from '../../../src/cli/larder.ts'
import { compareVersions, updateCommand } from '../../../src/cli/update.ts'

const PACKAGE = Buffer.from('a package')
const SHA256 = createHash('sha256').update(PACKAGE).digest('hex')

function release(version: string, { sha256 = SHA256, arch = 'arm64' } = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'larder-update-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(
    join(folder, 'larder.json'),
    JSON.stringify({ version, packages: { [arch]: { file: 'larder.deb', sha256 } } }),
  )
  writeFileSync(join(folder, 'larder.deb'), PACKAGE)
  return join(folder, 'larder.json')
}

/** The same, over HTTP. */
async function serve(list: string): Promise<string> {
  const server = createServer((request, response) => {
    const path = join(list, '..', request.url ?? '')
    try {
      response.end(readFileSync(path))
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function update(args: readonly string[], { isPackaged = true, env = {} as NodeJS.ProcessEnv, status = 0 } = {}) {
  const [out, err, installed] = [[] as string[], [] as string[], [] as string[]]
  const command = updateCommand({
    architecture: 'arm64',
    isPackaged: () => isPackaged,
    install: async file => {
      installed.push(readFileSync(file, 'utf8'))
      return status
    },
  })
  const signals = { on: () => {}, off: () => {} }
  const io = {
    stdout: (line: string) => out.push(line),
    stderr: (line: string) => err.push(line),
    env,
    cwd: '/',
    signals,
    version: '1.9.0',
  }
  return { code: await run(['update', ...args], io, { update: command }), out, err: err.join('\n'), installed }
}

describe.each([
  ['a path', async (list: string) => list],
  ['a URL', async (list: string) => `${await serve(list)}/larder.json`],
])('from %s', (_, from) => {
  test('a newer version is told of', async () => {
    const { code, out, installed } = await update(['--check', '--from', await from(release('1.10.0'))])
    expect({ code, out, installed }).toEqual({
      code: 3,
      out: ['larder: 1.10.0 is there; this is 1.9.0'],
      installed: [],
    })
  })

  test('and put in', async () => {
    const { code, installed } = await update(['--from', await from(release('2.0.0'))])
    expect({ code, installed }).toEqual({ code: 0, installed: ['a package'] })
  })

  test('nothing is put in when this is the newest', async () => {
    const { code, out, installed } = await update(['--from', await from(release('1.9.0'))])
    expect({ code, out, installed }).toEqual({ code: 0, out: ['larder: 1.9.0 is the newest'], installed: [] })
  })

  test('a package that is not the one in the list is not put in', async () => {
    const { code, err, installed } = await update(['--from', await from(release('2.0.0', { sha256: 'f'.repeat(64) }))])
    expect({ code, installed }).toEqual({ code: 1, installed: [] })
    expect(err).toContain('is not the package that')
  })
})

test('where the list is can be said by the environment', async () => {
  expect((await update(['--check'], { env: { LARDER_RELEASES: release('2.0.0') } })).code).toBe(3)
  const nowhere = await update([])
  expect(nowhere).toMatchObject({ code: 2, err: expect.stringContaining('LARDER_RELEASES') })
})

test('says why it cannot', async () => {
  expect(await update(['--from', '/nowhere/larder.json'])).toMatchObject({
    code: 1,
    err: expect.stringContaining('/nowhere/larder.json cannot be read'),
  })
  const url = await serve(release('2.0.0'))
  expect((await update(['--from', `${url}/other.json`])).err).toContain('the server says 404')
  expect((await update(['--from', `${url}/larder.deb`])).err).toContain('is no list of packages')
  expect((await update(['--from', release('2.0.0', { arch: 'amd64' })])).err).toContain('no package for arm64')
  expect((await update(['--from', release('2.0.0')], { isPackaged: false })).err).toContain(
    'not installed by a package',
  )
  expect((await update(['--from', release('2.0.0')], { status: 1 })).code).toBe(1)
})

test.each([
  ['1.0.0', '1.0.0', 0],
  ['1.10.0', '1.9.9', 1],
  ['0.9', '0.9.1', -1],
  ['2', '1.99.99', 1],
])('version %s against %s', (a, b, sign) => {
  expect(Math.sign(compareVersions(a, b))).toBe(sign)
})
