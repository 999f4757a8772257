/** The files of TLS: where authorities may lie, and whether those of a connection are still what they were. */
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { UpstreamTls } from '../../../src/bridge/connection.ts'
import { faultOf } from '../../../src/bridge/faults.ts'
import { Authority, type Pair } from '../../support/certificates.ts'
import { until } from '../../support/wait.ts'
import { startLink } from './link.ts'
import { startUpstream } from './scripted-upstream.ts'
import { tlsBefore } from './tls-front.ts'

let folder: string
let authority: Authority
let other: Authority
let server: Pair

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-bridge-files-'))
  authority = await Authority.make(folder, 'home')
  other = await Authority.make(folder, 'elsewhere')
  server = await authority.server()
})
afterAll(() => rm(folder, { recursive: true }))

/** An upstream behind TLS, and a link to it with these settings. */
async function link(tls: UpstreamTls) {
  const { port, seen } = await tlsBefore(await startUpstream(), {}, server)
  return { ...startLink({ url: `mqtts://127.0.0.1:${port}`, tls }), seen }
}

describe('authorities', () => {
  test('in a folder: files by their names, links of openssl rehash, nothing else', async () => {
    const caFolder = join(folder, 'authorities')
    await mkdir(caFolder)
    await writeFile(join(caFolder, 'README'), 'no certificate\n')
    expect((await (await link({ caFolder })).down()).reason).toBe(`${caFolder} holds no certificate`)
    await copyFile(other.cert, join(caFolder, 'elsewhere.pem'))
    expect((await (await link({ caFolder })).down()).reason).toMatch(/an authority that is not known here$/)
    await copyFile(authority.cert, join(caFolder, 'kept'))
    await symlink('kept', join(caFolder, '0a1b2c3d.0'))
    await (await link({ caFolder })).up()
    // Beside those of a file.
    await (await link({ caFolder, ca: other.cert })).up()
  })

  test('in a folder that is not there', async () => {
    const caFolder = join(folder, 'nowhere')
    expect((await (await link({ caFolder })).down()).reason).toBe(`${caFolder} is not there`)
  })

  test("of the system do not know a house's own, and count beside it", async () => {
    const alone = await (await link({ systemAuthorities: true })).down()
    expect(alone.reason).toMatch(/an authority that is not known here$|keeps no list of authorities$/)
    if (alone.reason.endsWith('here')) await (await link({ systemAuthorities: true, ca: authority.cert })).up()
  })
})

describe('ciphers', () => {
  test.each([
    [
      'of TLS 1.2',
      'ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384',
      { maxVersion: 'TLSv1.2' },
      /^ECDHE-.*-AES256-GCM-SHA384$/,
    ],
    ['of TLS 1.3', 'TLS_AES_128_GCM_SHA256', {}, /^TLS_AES_128_GCM_SHA256$/],
    ['of TLS 1.2, and 1.3 is spoken', 'ECDHE-RSA-AES256-GCM-SHA384', {}, /^TLS_/],
    ['of TLS 1.3, and 1.2 is spoken', 'TLS_AES_128_GCM_SHA256', { maxVersion: 'TLSv1.2' }, /^ECDHE/],
  ] as const)('%s', async (_, ciphers, options, name) => {
    const { port, seen } = await tlsBefore(await startUpstream(), options, server)
    await startLink({ url: `mqtts://127.0.0.1:${port}`, tls: { ca: authority.cert, ciphers } }).up()
    expect(seen[0]?.cipher).toMatch(name)
  })

  test('that nobody knows are told as that', async () => {
    const { down } = await link({ ca: authority.cert, ciphers: 'NONE-SUCH' })
    expect(await down()).toEqual({
      reason: 'tls has ciphers that OpenSSL does not know',
      hint: 'Compare "ciphers" with: openssl ciphers',
    })
  })
})

test('a connection knows when its files have become others, and when those cannot be used', async () => {
  const ca = join(folder, 'live.pem')
  await copyFile(authority.cert, ca)
  const { upstream, up } = await link({ ca })
  await up()
  expect(await upstream.isOutdated()).toBe(false)
  await copyFile(authority.cert, ca)
  expect(await upstream.isOutdated()).toBe(false)
  await copyFile(other.cert, ca)
  expect(await upstream.isOutdated()).toBe(true)
  await writeFile(ca, 'half a certif')
  const fault = await upstream.isOutdated().catch(error => faultOf(error, upstream.place))
  expect(fault).toMatchObject({ reason: `${ca} holds no certificate in PEM` })
})

test('a connection without TLS is never outdated', async () => {
  const peer = await startUpstream()
  const { upstream, up } = startLink({ url: peer.url })
  await up()
  await until(() => peer.connections.length === 1, { what: 'the connection' })
  expect(await upstream.isOutdated()).toBe(false)
})
