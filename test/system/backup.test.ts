/**
 * `larder backup` and `larder restore` on the built gateway: all that it had goes and comes back from one file: messages that
 * wait, retained ones, who may come in, and the configuration.
 */
import { existsSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Gateway, larder, startGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { until } from '../support/wait.ts'

const USER = { username: 'anna', password: 'secret' }
const SESSION = { clientId: 'away', clean: false, ...USER }

/** A gateway with a password file, a retained message and one that waits; and a backup of it, made while it runs. */
async function backedUp() {
  const gateway = await startGateway({ config: 'name: Test\naccess: { password_file: passwords }', waitReady: false })
  // Without the file it does not start.
  await gateway.exit
  const passwords = join(gateway.folder, 'passwords')
  expect((await larder(['passwd', '-b', '-c', passwords, USER.username, USER.password])).code).toBe(0)
  await gateway.start()
  await until(() => gateway.process.lines.some(line => line.startsWith('larder: ready')), { what: () => gateway.log })
  const { port } = gateway
  {
    await using away = await RawClient.connect({ port, ...SESSION })
    await away.subscribe({ topic: 'queue', qos: 1 })
  }
  await using client = await RawClient.connect({ port, ...USER })
  await client.publish('queue', 'waits', { qos: 1 })
  await client.publish('kept', 'stays', { qos: 1, retain: true })
  const file = join(gateway.folder, 'larder.backup')
  const made = await larder(['backup', '-c', join(gateway.folder, 'larder.yaml'), file])
  expect(made).toMatchObject({ code: 0 })
  expect(statSync(file).mode & 0o777).toBe(0o600)
  return { gateway, passwords, file }
}

async function expectAll(gateway: Gateway): Promise<void> {
  await gateway.start()
  await until(() => gateway.process.lines.some(line => line.startsWith('larder: ready')), { what: () => gateway.log })
  await using client = await RawClient.connect({ port: gateway.port, ...SESSION })
  await client.subscribe({ topic: 'kept', qos: 1 })
  const payloads = () => client.publishes.map(({ payload }) => String(payload)).sort()
  await until(() => payloads().length >= 2, { what: () => `two messages; ${payloads().join()}` })
  expect(payloads()).toEqual(['stays', 'waits'])
  await gateway.stop()
}

test('what was lost entirely comes back', async () => {
  const { gateway, passwords, file } = await backedUp()
  await using _ = gateway
  await gateway.kill()
  const config = join(gateway.folder, 'larder.yaml')
  for (const path of [gateway.dataDir, config, passwords]) rmSync(path, { recursive: true })
  const restored = await larder(['restore', file])
  expect(restored).toMatchObject({ code: 0 })
  expect(restored.lines.join('\n')).toContain(`restored ${passwords}`)
  expect(statSync(passwords).mode & 0o777).toBe(0o600)
  await expectAll(gateway)
})

test('what is there is not replaced without a word, and kept when it is', async () => {
  const { gateway, passwords, file } = await backedUp()
  await using _ = gateway
  const running = await larder(['restore', '--replace', file])
  expect(running.code).toBe(1)
  expect(running.errors.join()).toContain('STORE_LOCKED')
  await gateway.stop()
  writeFileSync(passwords, 'mine')
  const refused = await larder(['restore', file])
  expect(refused.code).toBe(1)
  expect(refused.errors.join()).toContain(passwords)
  expect(readFileSync(passwords, 'utf8')).toBe('mine')
  expect(await larder(['restore', '--replace', file])).toMatchObject({ code: 0 })
  expect(readFileSync(`${passwords}.before-restore`, 'utf8')).toBe('mine')
  await expectAll(gateway)
})

test('a backup that was cut changes nothing', async () => {
  const { gateway, file } = await backedUp()
  await using _ = gateway
  await gateway.stop()
  renameSync(gateway.dataDir, `${gateway.dataDir}.gone`)
  const { size } = statSync(file)
  for (const length of [size - 10, 100, 0]) {
    truncateSync(file, length)
    const { code, errors } = await larder(['restore', file])
    expect(code).toBe(1)
    expect(errors.join()).toContain('ARCHIVE_INVALID')
    expect(existsSync(join(gateway.dataDir, 'store'))).toBe(false)
  }
})

test('what is in it can be looked at', async () => {
  const { gateway, passwords, file } = await backedUp()
  await using _ = gateway
  const { code, lines } = await larder(['restore', '--dry-run', file])
  expect(code).toBe(0)
  expect(lines[0]).toContain(gateway.dataDir)
  expect(lines.slice(1)).toEqual([join(gateway.folder, 'larder.yaml'), passwords])
})
