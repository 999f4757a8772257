/** Backups from the page: downloaded while the gateway runs, and taken back by it. */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { DashboardClient, startWithDashboard } from '../support/dashboard.ts'
import { freePort } from '../support/free-port.ts'
import { larder, startGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { until } from '../support/wait.ts'

const BYTES = 'application/octet-stream'

async function download(page: DashboardClient): Promise<Buffer> {
  const response = await fetch(`${page.url}/api/backup`, {
    headers: page.cookie === undefined ? {} : { Cookie: page.cookie },
  })
  expect(response.status).toBe(200)
  expect(response.headers.get('content-disposition')).toMatch(/^attachment; filename="larder-\d{4}-\d\d-\d\d\.backup"$/)
  return Buffer.from(await response.arrayBuffer())
}

async function upload(page: DashboardClient, bytes: Buffer, type = BYTES): Promise<{ status: number; text: string }> {
  const response = await fetch(`${page.url}/api/restore`, {
    method: 'POST',
    headers: { 'Content-Type': type, ...(page.cookie === undefined ? {} : { Cookie: page.cookie }) },
    body: bytes,
  })
  return { status: response.status, text: await response.text() }
}

/** A gateway whose page asks who one is, and somebody who is in. */
async function startGuarded() {
  const folder = await mkdtemp(join(tmpdir(), 'larder-people-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await larder(['passwd', '-b', '-c', join(folder, 'people'), 'ada', 'lovelace'])
  const port = await freePort()
  const gateway = await startGateway({
    config: `dashboard: { listen: '127.0.0.1:${port}', users: '${folder}/people' }\nname: First\n`,
  })
  const page = new DashboardClient(`http://127.0.0.1:${port}`)
  await page.login('ada', 'lovelace')
  const file = join(gateway.folder, 'larder.yaml')
  return { gateway, page, file, people: join(folder, 'people') }
}

async function retained(port: number, topic: string): Promise<string[]> {
  await using client = await RawClient.connect({ port })
  await client.subscribe({ topic, qos: 1 }, { topic: 'here', qos: 1 })
  await client.publish('here', '', { qos: 1 })
  await client.ping()
  return client.publishes.filter(message => message.topic === topic).map(({ payload }) => payload.toString())
}

async function keep(port: number, topic: string, payload: string) {
  await using client = await RawClient.connect({ port })
  await client.publish(topic, payload, { qos: 1, retain: true })
}

test('what was there is there again: messages, configuration and the files that it names', async () => {
  const { gateway, page, file, people } = await startGuarded()
  await using _ = gateway
  await keep(gateway.port, 'shelf', 'bread')
  const backup = await download(page)
  await keep(gateway.port, 'shelf', 'crumbs')
  const before = await readFile(file, 'utf8')
  const password = await readFile(people, 'utf8')
  await writeFile(file, before.replace('name: First', 'name: Second'))
  await larder(['passwd', '-b', people, 'ada', 'babbage'])
  const lines = gateway.process.lines.length
  expect(await upload(page, backup)).toMatchObject({ status: 200 })
  await gateway.process.line(line => line.startsWith('larder: ready'), { from: lines })
  expect(await retained(gateway.port, 'shelf')).toEqual(['bread'])
  expect([await readFile(file, 'utf8'), await readFile(people, 'utf8')]).toEqual([before, password])
  expect(await readFile(`${file}.before-restore`, 'utf8')).toContain('name: Second')
  expect((await page.login('ada', 'lovelace')).status).toBe(204)
  await gateway.stop()
})

test('a configuration that the gateway does not start with is put back', async () => {
  const { gateway, page, file } = await startGuarded()
  await using _ = gateway
  await keep(gateway.port, 'shelf', 'bread')
  const text = (await download(page)).toString('latin1')
  const before = await readFile(file, 'utf8')
  for (const bad of ['name: 7', 'access: { password_file: nobody-there }']) {
    const lines = gateway.process.lines.length
    const changed = Buffer.from(text.replace('name: First', bad), 'latin1')
    expect(await upload(page, changed)).toMatchObject({ status: 200 })
    await gateway.process.line(line => line.startsWith('larder: ready'), { from: lines })
    expect(await readFile(file, 'utf8')).toBe(before)
    expect(await retained(gateway.port, 'shelf')).toEqual(['bread'])
    await page.login('ada', 'lovelace')
  }
})

test('whoever goes away when all has been sent is not waited for', async () => {
  const { gateway, page } = await startGuarded()
  await using _ = gateway
  await keep(gateway.port, 'shelf', 'bread')
  // Large enough to be looked through for a while.
  for (let i = 0; i < 40; i++) await keep(gateway.port, `filling/${i}`, 'x'.repeat(900_000))
  const backup = await download(page)
  await keep(gateway.port, 'shelf', 'crumbs')
  const lines = gateway.process.lines.length
  const upload = join(gateway.dataDir, 'restore.upload')
  const { hostname, port } = new URL(page.url)
  const headers = { 'Content-Type': BYTES, 'Content-Length': backup.length, Cookie: page.cookie }
  const sending = request({ hostname, port, path: '/api/restore', method: 'POST', headers })
  sending.on('error', () => {}).end(backup)
  await until(async () => (await stat(upload).catch(() => undefined))?.size === backup.length, {
    what: 'all of the backup has come',
    every: 5,
  })
  sending.destroy()
  await gateway.process.line(line => line.startsWith('larder: ready'), { from: lines })
  expect(await retained(gateway.port, 'shelf')).toEqual(['bread'])
  await gateway.stop()
})

test('what is no backup changes nothing', async () => {
  const { gateway, page, file } = await startGuarded()
  await using _ = gateway
  const backup = await download(page)
  const before = await readFile(file, 'utf8')
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from('nonsense'),
    Buffer.from('larder-backup {}\n'),
    backup.subarray(0, -1),
    Buffer.from(backup.map((byte, i) => (i === backup.length - 40 ? byte ^ 1 : byte))),
  ]) {
    expect([bytes.length, (await upload(page, bytes)).status]).toEqual([bytes.length, 409])
  }
  expect((await upload(page, backup, 'text/plain')).status).toBe(415)
  expect((await upload(new DashboardClient(page.url), backup)).status).toBe(401)
  expect(await readFile(file, 'utf8')).toBe(before)
  expect((await page.get('/api/session')).body).toMatchObject({ user: 'ada' })
})

test('where nobody logs in, the configuration is neither told nor taken', async () => {
  const guarded = await startGuarded()
  await using first = guarded.gateway
  await keep(first.port, 'shelf', 'bread')
  const whole = await download(guarded.page)
  await using rig = await startWithDashboard({ config: 'name: Third\n' })
  const { gateway, page } = rig
  const own = (await download(page)).toString('latin1')
  expect(own).toMatch(/^larder-backup \{"made":"[^"]+","by":"[^"]+","place":\{"dataDir":"[^"]+"\}\}\nlarder-store /)
  const kept = join(gateway.folder, 'kept.backup')
  await writeFile(kept, own, 'latin1')
  const told = await larder(['restore', '--dry-run', kept])
  expect(told.lines.join('\n')).toContain(`larder: a backup of ${gateway.dataDir}, by larder `)
  const before = await readFile(join(gateway.folder, 'larder.yaml'), 'utf8')
  const lines = gateway.process.lines.length
  expect(await upload(page, whole)).toMatchObject({ status: 200 })
  await gateway.process.line(line => line.startsWith('larder: ready'), { from: lines })
  expect(await retained(gateway.port, 'shelf')).toEqual(['bread'])
  expect(await readFile(join(gateway.folder, 'larder.yaml'), 'utf8')).toBe(before)
})

test('a configuration that has its data elsewhere is left beside: the gateway would not find the store', async () => {
  const { gateway, page, file } = await startGuarded()
  await using _ = gateway
  await keep(gateway.port, 'shelf', 'bread')
  const before = await readFile(file, 'utf8')
  const [line = '', ...store] = (await download(page)).toString('latin1').split('\n')
  const head = JSON.parse(line.slice('larder-backup '.length)) as { config: string }
  const config = head.config.replace(/^data_dir: .*$/m, `data_dir: ${gateway.folder}/elsewhere`)
  expect(config).not.toBe(head.config)
  const changed = [`larder-backup ${JSON.stringify({ ...head, config })}`, ...store].join('\n')
  const lines = gateway.process.lines.length
  expect(await upload(page, Buffer.from(changed, 'latin1'))).toMatchObject({ status: 200 })
  await gateway.process.line(said => said.startsWith('larder: ready'), { from: lines })
  expect(await retained(gateway.port, 'shelf')).toEqual(['bread'])
  expect(await readFile(file, 'utf8')).toBe(before)
  expect(await readFile(join(gateway.dataDir, 'restored-larder.yaml'), 'utf8')).toBe(config)
  await gateway.stop()
})
