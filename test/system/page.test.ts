/**
 * The web page in Debian's Chromium, of a built gateway with real peers: what one sees is what mosquitto_pub published,
 * what one presses reaches mosquitto_sub, and nothing is loaded from anywhere else.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type OpenPage, openPage, startBrowser } from '../support/browser.ts'
import { DashboardClient, startWithDashboard, type WithDashboard } from '../support/dashboard.ts'
import { freePort } from '../support/free-port.ts'
import { larder, startGateway } from '../support/gateway.ts'
import { startMosquitto } from '../support/mosquitto.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { pub } from '../support/pub.ts'
import { startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'

/** Topics of a large house, and what a browser may be busy with at a time, in ms, before a person feels it. */
const MANY = 5000
const LONGEST_TASK = 200
/** Others work on the machine too: the best of so many rounds is the page's own. */
const ROUNDS = 3

const missing = ['chromium', 'mosquitto', 'mosquitto_pub', 'mosquitto_sub'].filter(program => !needs(program))

describe.skipIf(missing.length > 0)('the web page of a gateway', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await startBrowser()
  })
  afterAll(async () => await browser?.close())

  /** Opens the page of `rig`. At the end nothing may have gone wrong in it, and nothing been loaded from elsewhere. */
  async function open(rig: Pick<WithDashboard, 'gateway' | 'page'>, address: string): Promise<Page> {
    const opened: OpenPage = await openPage(browser, { viewport: { width: 1280, height: 800 } })
    const { page, faults } = opened
    const strangers: string[] = []
    const home = new URL(rig.page.url).origin
    // As behind a router without internet: only the gateway answers.
    await page.route('**/*', async route => {
      const { origin, href } = new URL(route.request().url())
      if (origin === home) return await route.continue()
      strangers.push(href)
      await route.abort('internetdisconnected')
    })
    onTestFinished(async () => {
      await opened.close()
      expect(faults).toEqual([])
      expect(strangers).toEqual([])
    })
    await page.goto(`${rig.page.url}/${address}`)
    return page
  }

  const row = (page: Page, name: string) =>
    page.getByRole('treeitem').filter({ has: page.locator('.tree-name', { hasText: name }) })

  test('shows a reading that mosquitto_pub published', async () => {
    await using rig = await startWithDashboard()
    const page = await open(rig, '#/topics')
    await page
      .getByText(/\d+.topics?$/)
      .first()
      .waitFor()
    const times: number[] = []
    for (const value of ['21.5', '21.6', '21.7']) {
      const began = performance.now()
      await pub(value, { port: rig.gateway.port, topic: '/Home/Kitchen/Thermometer', qos: 1, retain: true })
      await row(page, 'Thermometer').getByText(value).waitFor()
      times.push(performance.now() - began)
    }
    process.stdout.write(`readings were seen ${times.map(Math.round).join(', ')} ms after mosquitto_pub was started\n`)
  })

  test('shows what devices say, with the history of the day', async () => {
    await using rig = await startWithDashboard({ config: 'devices: [{ name: Gateway, system: { every: 500ms } }]\n' })
    const page = await open(rig, '#/home')
    const card = page.getByRole('article', { name: 'Gateway' })
    await card.getByText(/^just now$|^\d+.s ago$/).waitFor()
    await card.getByText('Load 1m').waitFor()
    await card.getByRole('link', { name: /^Load 1m .*, history$/ }).click()
    await page.getByRole('dialog', { name: 'Gateway: Load 1m' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.getByRole('link', { name: 'Devices' }).first().click()
    await page.getByRole('button', { name: 'Read Gateway now' }).click()
    await page.getByText(/was read/).waitFor()
  })

  test('publishes to mosquitto_sub', async () => {
    await using rig = await startWithDashboard()
    await using sub = await startSub({ port: rig.gateway.port, topics: ['garden/#'], qos: 1 })
    const page = await open(rig, '#/topics')
    await page.getByRole('button', { name: 'Publish' }).click()
    await page.getByLabel('Topic', { exact: true }).fill('garden/+')
    await page.getByText('+ and # are for subscribing').waitFor()
    expect(await page.getByRole('button', { name: 'Publish message' }).isDisabled()).toBe(true)
    await page.getByLabel('Topic', { exact: true }).fill('garden/valve')
    await page.getByLabel('Message', { exact: true }).fill('öffne 3')
    await page.getByLabel('QoS').selectOption({ label: '1 – at least once' })
    await page.getByRole('button', { name: 'Publish message' }).click()
    expect(await sub.received(1)).toEqual([{ topic: 'garden/valve', payload: 'öffne 3', qos: 1, retain: false }])
    await page.getByText(/^published to garden\/valve/i).waitFor()
  })

  test('clears what is retained, and brings it back', async () => {
    await using rig = await startWithDashboard()
    for (const room of ['kitchen', 'cellar']) {
      await pub('21', { port: rig.gateway.port, topic: `house/${room}`, qos: 1, retain: true })
    }
    const page = await open(rig, '#/topics?house')
    await page.getByRole('button', { name: 'Clear 2 retained from here down' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Clear 2 retained messages' }).click()
    await until(async () => (await retained(rig, 'house/#')).length === 0, { what: 'nothing to be retained' })
    await page.getByRole('button', { name: 'Undo' }).click()
    await until(async () => (await retained(rig, 'house/#')).length === 2, { what: 'both to be retained again' })
  })

  async function retained(rig: WithDashboard, filter: string): Promise<string[]> {
    const args = ['sub', '-p', String(rig.gateway.port), '-t', filter, '--retained-only', '-W', '1']
    return [...(await larder(args)).lines]
  }

  test('disconnects a client and drops a session', async () => {
    await using rig = await startWithDashboard()
    await using client = await RawClient.connect({ port: rig.gateway.port, clientId: 'kitchen-display', clean: false })
    const page = await open(rig, '#/clients')
    await page.getByRole('link', { name: /kitchen-display/ }).click()
    const sheet = page.getByRole('dialog', { name: 'kitchen-display' })
    await sheet.getByRole('button', { name: 'Disconnect' }).click()
    await page
      .getByRole('dialog', { name: 'Disconnect kitchen-display?' })
      .getByRole('button', { name: 'Disconnect' })
      .click()
    await client.closed
    await sheet.getByText(/^away/).waitFor()
    await sheet.getByRole('button', { name: 'Drop session' }).click()
    await page
      .getByRole('dialog', { name: /^Drop the session/ })
      .getByRole('button', { name: 'Drop session' })
      .click()
    await page.getByText('Nobody is connected').waitFor()
  })

  test('turns a bridge red that loses its upstream', async () => {
    const upstream = await startMosquitto()
    onTestFinished(() => upstream.remove())
    await using rig = await startWithDashboard({
      config: `bridges: [{ name: cloud, url: 'mqtt://127.0.0.1:${upstream.port}', out: [{ filter: '/Home/#' }] }]\n`,
    })
    const page = await open(rig, '#/bridges')
    const bridge = page.getByRole('region', { name: 'Bridge cloud' })
    await bridge.getByText(/^connected/).waitFor()
    const colour = () => page.evaluate<string>("getComputedStyle(document.querySelector('.bridge .state')).color")
    const isRed = async () => {
      const [red = 0, green = 0, blue = 0] = ((await colour()).match(/\d+/g) ?? []).map(Number)
      return red > 2 * green && red > 2 * blue
    }
    expect(await isRed()).toBe(false)
    await upstream.kill()
    await bridge.getByText(/^not connected/).waitFor()
    expect(await isRed()).toBe(true)
    await pub('21.5', { port: rig.gateway.port, topic: '/Home/Kitchen/Thermometer', qos: 1 })
    await bridge.getByText(/^1.message/).waitFor()
    await upstream.restart()
    await bridge.getByText(/^connected/).waitFor({ timeout: 45_000 })
    expect(await isRed()).toBe(false)
    await page.getByRole('button', { name: 'Pause cloud' }).click()
    await bridge.getByText(/^paused/).waitFor()
    await page.getByRole('button', { name: 'Resume cloud' }).click()
    await bridge.getByText(/^connected/).waitFor()
  })

  test('keeps out who has the wrong password', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'larder-page-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const users = join(folder, 'users')
    expect((await larder(['passwd', '-c', '-b', users, 'anna', 'correct horse'])).code).toBe(0)
    await using rig = await startWithDashboard({ dashboard: `users: '${users}'` })
    await pub('secret', { port: rig.gateway.port, topic: 'hidden', qos: 1, retain: true })
    const page = await open(rig, '#/topics')
    await page.getByLabel('User').fill('anna')
    await page.getByLabel('Password').fill('wrong')
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByRole('alert').waitFor()
    expect(await page.getByRole('navigation').count()).toBe(0)
    await page.getByLabel('Password').fill('correct horse')
    await page.getByRole('button', { name: 'Log in' }).click()
    await row(page, 'hidden').getByText('secret').waitFor()
    await page.getByRole('link', { name: 'Settings' }).first().click()
    await page.getByRole('button', { name: 'Log out anna' }).click()
    await page.getByLabel('Password').waitFor()
    expect(await page.getByText('secret').count()).toBe(0)
  })

  test('explains a configuration with a fault, and goes on when it is mended', async () => {
    const port = await freePort()
    const settings = `dashboard: { listen: '127.0.0.1:${port}' }\ndevices: [{ name: Gateway, system: { every: 500ms } }]\n`
    const broken = settings.replace('every', 'evry')
    await using gateway = await startGateway({ config: broken, args: ['--explain'], waitReady: false })
    await gateway.process.line(line => line.startsWith('larder: explaining'))
    const page = await open({ gateway, page: new DashboardClient(`http://127.0.0.1:${port}`) }, '#/home')
    const fault = page.locator('.faults li')
    await fault.getByText(/larder\.yaml:\d+:\d+$/).waitFor()
    await fault.getByText(/did you mean 'every'/).waitFor()
    const file = join(gateway.folder, 'larder.yaml')
    await writeFile(file, (await readFile(file, 'utf8')).replace('evry', 'every'))
    await page.getByRole('article', { name: 'Gateway' }).getByText('Load 1m').waitFor({ timeout: 45_000 })
  })

  test('checks a changed configuration, takes it up, and shows no secret', async () => {
    await using rig = await startWithDashboard({
      config:
        "devices: []\nbridges: [{ name: cloud, url: 'mqtt://127.0.0.1:1', password: hush-hush, username: me, out: [{ filter: x }] }]\n",
    })
    const page = await open(rig, '#/settings')
    await page.getByText('in force', { exact: true }).waitFor()
    expect(await page.locator('pre').textContent()).toMatch(/username: me/)
    expect(await page.locator('pre').textContent()).not.toContain('hush-hush')
    const file = join(rig.gateway.folder, 'larder.yaml')
    const before = await readFile(file, 'utf8')
    await writeFile(file, before.replace('devices', 'devises'))
    await page.getByRole('button', { name: 'Check the file' }).click()
    await page
      .locator('.faults')
      .getByText(/devices/)
      .waitFor()
    await writeFile(file, before.replace('devices: []', 'devices: [{ name: Gateway, system: { every: 500ms } }]'))
    await page.getByRole('button', { name: 'Check the file' }).click()
    await page.getByText('The file on disk is valid.').waitFor()
    await page.getByRole('button', { name: 'Reload' }).click()
    await page.getByText('in force', { exact: true }).waitFor()
    await page.getByRole('link', { name: 'Home' }).first().click()
    await page.getByRole('article', { name: 'Gateway' }).waitFor()
  })

  test('downloads a backup and restores it', async () => {
    const port = await freePort()
    await using gateway = await startGateway({ config: `dashboard: { listen: '127.0.0.1:${port}' }\n` })
    await pub('bread', { port: gateway.port, topic: 'shelf', qos: 1, retain: true })
    const rig = { gateway, page: new DashboardClient(`http://127.0.0.1:${port}`) }
    const page = await open(rig, '#/settings')
    // Nobody logs in here, so this is what the file is.
    await page.getByText('The configuration and its passwords are not in it').waitFor()
    const started = page.waitForEvent('download')
    await page.getByRole('link', { name: 'Download a backup' }).click()
    const download = await started
    const file = join(gateway.folder, 'kept.backup')
    await download.saveAs(file)
    await pub('crumbs', { port: gateway.port, topic: 'shelf', qos: 1, retain: true })
    const lines = gateway.process.lines.length
    await page.getByLabel('Backup file').setInputFiles(file)
    await page.getByRole('button', { name: 'Restore this backup' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Replace everything' }).click()
    await gateway.process.line(line => line.startsWith('larder: ready'), { from: lines })
    await page.goto(`${rig.page.url}/#/topics?shelf`)
    await page.locator('.payload').getByText('bread').waitFor()
  })

  test('says within 5 s that a gateway is silent, and goes on with it', async () => {
    await using rig = await startWithDashboard()
    const page = await open(rig, '#/topics')
    await page
      .getByText(/\d+.topics?$/)
      .first()
      .waitFor()
    const banner = page.locator('.banner').getByText('The gateway does not answer.')
    process.kill(rig.gateway.pid, 'SIGSTOP')
    try {
      const began = performance.now()
      await banner.waitFor()
      process.stdout.write(`a silent gateway was told after ${Math.round(performance.now() - began)} ms\n`)
    } finally {
      process.kill(rig.gateway.pid, 'SIGCONT')
    }
    await banner.waitFor({ state: 'detached' })
  })

  test('stays smooth with 5,000 topics', { timeout: 180_000 }, async () => {
    await using rig = await startWithDashboard()
    await using client = await RawClient.connect({ port: rig.gateway.port })
    const topics = Array.from(
      { length: MANY },
      (_, index) => `plant/hall${index % 10}/line${index % 25}/sensor${index}`,
    )
    for (const topic of topics) await client.publish(topic, '0', { retain: true })
    const longest: number[] = []
    for (let round = 1; round <= ROUNDS && !(Math.min(...longest) <= LONGEST_TASK); round++) {
      const page = await open(rig, '#/more')
      await page.evaluate(`(() => {
        globalThis.tasks = []
        new PerformanceObserver(list => tasks.push(...list.getEntries().map(entry => entry.duration))).observe({ type: 'longtask' })
        setTimeout(() => { for (const end = performance.now() + 130; performance.now() < end; ); })
      })()`)
      await until(async () => await page.evaluate('tasks.splice(0).some(task => task >= 130)'), {
        what: 'a task that is known to be long',
      })
      await page.getByRole('link', { name: 'Topics' }).first().click()
      await page
        .getByText(/^5,0\d\d.topics$/)
        .first()
        .waitFor()
      const search = page.getByLabel('Search topics and values')
      for (let turn = 1; turn <= 4; turn++) {
        // All values change while somebody looks for something, opens, scrolls.
        for (const topic of topics) await client.publish(topic, `${round}.${turn}`, { retain: true })
        await search.fill(turn % 2 === 1 ? `sensor${turn}` : 'plant')
        await page.getByText(/found$/).waitFor()
        await page.getByRole('tree').hover()
        for (let step = 0; step < 5; step++) await page.mouse.wheel(0, 4000)
        await search.fill('')
        await page
          .getByText(/^5,0\d\d.topics$/)
          .first()
          .waitFor()
        await row(page, 'hall1').first().click()
      }
      await search.fill('sensor4999')
      await row(page, 'sensor4999').getByText(`${round}.4`).waitFor()
      longest.push(await page.evaluate<number>('Math.max(0, ...tasks)'))
    }
    process.stdout.write(
      `longest task of the page with ${MANY} topics: ${longest.map(Math.round).join(', then ')} ms\n`,
    )
    expect(Math.min(...longest)).toBeLessThanOrEqual(LONGEST_TASK)
  })
})
