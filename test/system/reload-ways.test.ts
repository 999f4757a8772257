/** The ways to a reload other than SIGHUP, and what happens to a listener whose socket's settings change. */
import { once } from 'node:events'
import { rename, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { connect } from 'node:tls'
import { afterEach, expect, test } from 'vitest'
import { Authority } from '../support/certificates.ts'
import { type Gateway, larder, prepareGateway, startGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { until } from '../support/wait.ts'

let gateway: Gateway | undefined
afterEach(async () => {
  await gateway?.[Symbol.asyncDispose]()
  gateway = undefined
})

function configOf({ port, dataDir }: Gateway, more = ''): string {
  return `name: Test\ndata_dir: '${dataDir}'\nlisteners: ['mqtt://127.0.0.1:${port}']\n${more}`
}

async function set(text: string): Promise<string> {
  const file = join((gateway as Gateway).folder, 'larder.yaml')
  // As editors do: beside it, then in its place.
  await writeFile(`${file}.new`, text)
  await rename(`${file}.new`, file)
  return file
}

const limits = (bytes: string) => `limits: { max_packet_size: ${bytes} }`

async function packetSize({ port }: Gateway): Promise<number | undefined> {
  await using client = await RawClient.connect({ port, protocolVersion: 5 })
  return client.connack?.properties?.maximumPacketSize
}

test('larder reload says what came of it', async () => {
  gateway = await startGateway({ config: 'name: Test' })
  const file = await set(configOf(gateway, limits('2KiB')))
  expect(await larder(['reload', '-c', file])).toMatchObject({ code: 0, lines: ['larder: reloaded'], errors: [] })
  expect(await packetSize(gateway)).toBe(2048)

  await set(configOf(gateway, 'access: { acl_file: nowhere }'))
  const refused = await larder(['reload', '-c', file])
  expect(refused.code).toBe(1)
  expect(refused.errors.join()).toContain('nowhere')
  expect(refused.errors.join()).toContain('not reloaded')

  await set(configOf(gateway, 'limits: { max_paket_size: 2KiB }'))
  const faulty = await larder(['reload', '-c', file])
  expect(faulty).toMatchObject({ code: 1, lines: [] })
  expect(faulty.errors.join()).toContain("did you mean 'max_packet_size'?")
  expect(await packetSize(gateway)).toBe(2048)
})

test('larder reload reaches a gateway whose environment the caller does not have', async () => {
  gateway = await startGateway({ config: 'name: Test', env: { SIZE: '3KiB' } })
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is for the configuration
  await set(configOf(gateway, limits('"${SIZE}"')))
  expect(await larder(['reload', '--data-dir', gateway.dataDir])).toMatchObject({ code: 0 })
  expect(await packetSize(gateway)).toBe(3072)
})

test('larder reload says so when nobody is there, and only its owner may ask', async () => {
  gateway = await startGateway({ config: 'name: Test' })
  expect((await stat(join(gateway.dataDir, 'control.sock'))).mode & 0o777).toBe(0o700)
  await gateway.kill()
  const file = join(gateway.folder, 'larder.yaml')
  const alone = await larder(['reload', '-c', file])
  expect(alone).toMatchObject({ code: 1, lines: [] })
  expect(alone.errors.join()).toContain('NOT_RUNNING')
  // The socket that was left behind is in nobody's way.
  await gateway.start()
  expect(await larder(['reload', '-c', file])).toMatchObject({ code: 0 })
})

test('a data folder that lies too deep for the path of a socket', async () => {
  const deep = Array.from({ length: 6 }, () => 'a-folder-with-a-long-name').join('/')
  gateway = await prepareGateway({ config: 'name: Test' })
  const file = await set(`data_dir: './${deep}'\nlisteners: ['mqtt://127.0.0.1:${gateway.port}']\n`)
  await gateway.start()
  expect(await larder(['reload', '-c', file])).toMatchObject({ code: 0 })
  expect((await stat(join(dirname(file), deep, 'control.sock'))).isSocket()).toBe(true)
})

test('larder start --watch reloads by itself, also for the files of the access rules', async () => {
  gateway = await startGateway({ config: 'name: Test', args: ['--watch'] })
  const { port, process } = gateway
  await set(configOf(gateway, `${limits('2KiB')}\naccess: { password_file: passwords, allow_anonymous: true }`))
  await until(() => process.errors.some(line => line.includes('not reloaded')), { what: 'the missing file to be told' })
  const passwords = join(gateway.folder, 'passwords')
  await larder(['passwd', '-c', '-b', '-H', 'sha512', passwords, 'anna', 'secret'])
  await set(configOf(gateway, `${limits('4KiB')}\naccess: { password_file: passwords, allow_anonymous: true }`))
  await until(() => process.errors.includes('larder: reloaded'), { what: 'the reload' })
  expect(await packetSize(gateway)).toBe(4096)
  const bert = () => RawClient.connect({ port, username: 'bert', password: "bert's" })
  await expect(bert()).rejects.toThrow()
  await larder(['passwd', '-b', '-H', 'sha512', passwords, 'bert', "bert's"])
  await using _bert = await until(() => bert().catch(() => undefined), { what: 'the reload for another password' })
})

test('a listener whose TLS settings change is never shut', { timeout: 60_000 }, async () => {
  gateway = await prepareGateway({ config: 'name: Test' })
  const { folder, port } = gateway
  const authority = await Authority.make(folder, 'authority')
  const { cert, key } = await authority.server()
  const listener = (tls: string) =>
    `listeners: [{ url: 'mqtts://127.0.0.1:${port}', tls: { cert: '${cert}', key: '${key}', ${tls} } }]\ndata_dir: data\n`
  const file = await set(listener('min_version: TLSv1.2'))
  await gateway.start()
  await using stays = await RawClient.connect({ port, tls: true })

  // Clients come as fast as they can while the settings change back and forth.
  let isOver = false
  let count = 0
  const faults: unknown[] = []
  const knock = async () => {
    while (!isOver) {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false })
      try {
        await once(socket, 'secureConnect')
        count++
      } catch (error) {
        faults.push(error)
      }
      socket.destroy()
    }
  }
  const knocking = Promise.all([knock(), knock()])
  for (let i = 0; i < 5; i++) {
    await set(listener(i % 2 === 0 ? 'min_version: TLSv1.3' : 'min_version: TLSv1.2'))
    expect(await larder(['reload', '-c', file])).toMatchObject({ code: 0 })
    const before = count
    await until(() => count > before + 5 || faults.length > 0, { what: 'more clients' })
  }
  // TLS 1.3 only, now: and a file that cannot be used changes nothing.
  await set(listener(`ca: '${key}', client_certificates: required`))
  expect(await larder(['reload', '-c', file])).toMatchObject({
    code: 1,
    errors: expect.arrayContaining([expect.stringContaining('not reloaded')]),
  })
  await set(listener('min_version: TLSv1.3'))
  isOver = true
  await knocking
  expect(faults).toEqual([])
  expect(count).toBeGreaterThan(20)
  const old = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, maxVersion: 'TLSv1.2' })
  await expect(once(old, 'secureConnect')).rejects.toThrow()
  await stays.ping()
})

test('a reload whose new listener finds its port taken changes nothing at all', async () => {
  gateway = await startGateway({ config: 'name: Test' })
  await using other = createServer()
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port: taken } = other.address() as { port: number }
  const { port, wsPort, dataDir } = gateway
  const file = await set(
    `data_dir: '${dataDir}'\n${limits('2KiB')}\nlisteners: ['mqtt://127.0.0.1:${wsPort}', 'mqtt://127.0.0.1:${taken}']\n`,
  )
  const refused = await larder(['reload', '-c', file])
  expect(refused).toMatchObject({
    code: 1,
    errors: expect.arrayContaining([expect.stringContaining(`127.0.0.1:${taken}`)]),
  })
  expect(await packetSize(gateway)).not.toBe(2048)
  // One of ours at the same port is not in the way: it leaves first.
  await set(configOf(gateway, 'access: { allow_anonymous: true }').replace('127.0.0.1', '0.0.0.0'))
  expect(await larder(['reload', '-c', file])).toMatchObject({ code: 0 })
  await using client = await RawClient.connect({ port })
  await client.ping()
})
