/** `larder start --explain`: a gateway that cannot run says why on its page, and starts when that has been mended. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DashboardClient } from '../support/dashboard.ts'
import { freePort } from '../support/free-port.ts'
import { type Gateway, larder, startGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { until } from '../support/wait.ts'

/** A gateway that will explain `broken`; `page` is where. Not ready when this resolves. */
async function startBroken(broken: string, dashboard = '') {
  const port = await freePort()
  const config = `dashboard: { listen: '127.0.0.1:${port}'${dashboard} }\n${broken}`
  const gateway = await startGateway({ config, args: ['--explain'], waitReady: false })
  return { gateway, config, page: new DashboardClient(`http://127.0.0.1:${port}`) }
}

const explaining = (gateway: Gateway) => gateway.process.line(line => line.startsWith('larder: explaining on http://'))

async function write(gateway: Gateway, text: string) {
  const listeners = `listeners: ['mqtt://127.0.0.1:${gateway.port}']\ndata_dir: '${gateway.dataDir}'\n`
  await writeFile(join(gateway.folder, 'larder.yaml'), `${listeners}${text}`)
}

test('faults are shown with their places, and the gateway starts when there are none', async () => {
  const rig = await startBroken('devices: 7\nlimits: { max_inflight: lots }\n')
  await using gateway = rig.gateway
  const { page } = rig
  await explaining(gateway)
  await using stream = await page.events('overview,topics,log')
  const hello = () => stream.events.findLast(({ name }) => name === 'hello')?.data as { broken?: { place: string }[] }
  await stream.when('log', () => true)
  expect(hello().broken?.map(({ place }) => place.replace(/^.*\//, ''))).toEqual([
    'larder.yaml:4:10',
    'larder.yaml:5:25',
  ])
  expect((await page.get('/api/config')).body.text).toContain('devices: 7')
  expect((await page.post('/api/publish', { topic: 'a', payload: '', qos: 0, retain: false })).status).toBe(503)
  expect((await page.get('/api/doctor')).status).toBe(200)
  await expect(RawClient.connect({ port: gateway.port, patience: 1_000 })).rejects.toThrow()

  await write(gateway, rig.config.replace(/^limits.*$/m, ''))

  await until(() => hello().broken?.length === 1, { what: () => `one fault less: ${JSON.stringify(hello())}` })
  await write(gateway, rig.config.replace(/^limits.*$/m, '').replace(/^devices.*$/m, ''))
  await gateway.ready()
  await using client = await RawClient.connect({ port: gateway.port })
  await client.ping()
  await until(async () => (await page.get('/api/session').catch(() => undefined))?.status === 200, { what: 'the page' })
  await gateway.stop()
})

test('a file that the configuration names is explained too, and who may see that is as ever', async () => {
  const rig = await startBroken('access: { password_file: people }\n')
  await using gateway = rig.gateway
  await explaining(gateway)
  expect((await rig.page.get('/api/session')).body).toEqual({ needsLogin: false })
  await using stream = await rig.page.events('overview')

  const hello = await until(() => stream.events[0], { what: 'hello' })
  expect(hello.data).toMatchObject({
    broken: [{ place: 'CONFIG_UNREADABLE', message: expect.stringContaining('people') }],
  })
  await larder(['passwd', '-b', '-c', join(gateway.folder, 'people'), 'ada', 'lovelace'])
  await gateway.ready()
})

test('a page with users asks for them also then; one that is off explains nothing; a signal ends it', async () => {
  const rig = await startBroken('devices: 7\n', ', users: people')
  await using gateway = rig.gateway
  // The file of its users is missing: nobody may come, so there is no page.
  expect((await gateway.exit).code).toBe(1)
  await larder(['passwd', '-b', '-c', join(gateway.folder, 'people'), 'ada', 'lovelace'])
  await gateway.start()
  await explaining(gateway)
  expect((await rig.page.get('/api/events?of=overview')).status).toBe(401)
  expect((await rig.page.login('ada', 'lovelace')).status).toBe(204)
  expect((await rig.page.get('/api/config')).status).toBe(200)
  await gateway.stop()

  await using off = await startGateway({
    config: 'dashboard: off\ndevices: 7\n',
    args: ['--explain'],
    waitReady: false,
  })
  expect((await off.exit).code).toBe(1)
})
