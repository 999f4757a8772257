/** `scripts/screenshots`: opens each page in each of its states and takes its picture. */
import { mkdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { openPage, startBrowser } from '../test/support/browser.ts'
import { FakeDashboard } from '../test/support/fake-dashboard.ts'
import {
  brokenHello,
  calmHousehold,
  emptyHousehold,
  type Household,
  troubledHousehold,
} from '../test/support/page-fixtures.ts'
import { manyTopics } from '../test/support/page-house.ts'

interface Scene {
  readonly name: string
  readonly address: string
  readonly household?: (now: number) => Household
  readonly locked?: boolean
  readonly silent?: boolean
  /** The whole page and not what a screen shows. */
  readonly whole?: boolean
  readonly prepare?: (page: Page, server: FakeDashboard) => Promise<void>
}

const SCENES: readonly Scene[] = [
  { name: 'home', address: '#/home', household: calmHousehold, whole: true },
  { name: 'home-troubled', address: '#/home', whole: true },
  { name: 'home-first-run', address: '#/home', household: emptyHousehold, whole: true },
  { name: 'home-loading', address: '#/home', silent: true, prepare: settle },
  { name: 'home-history', address: '#/home?kitchen%2Fthermometer%2Ftemperature', prepare: openTable },
  { name: 'home-sending', address: '#/home', household: calmHousehold, prepare: press },
  { name: 'home-lost', address: '#/home', prepare: lose },
  { name: 'topics', address: '#/topics' },
  { name: 'topics-open', address: '#/topics?%2FHome%2FKitchen%2FThermometer' },
  {
    name: 'topics-publish',
    address: '#/topics',
    prepare: async page => await page.getByRole('button', { name: 'Publish' }).click(),
  },
  { name: 'topics-clear', address: '#/topics?%2FHome%2FKitchen', prepare: clearBranch },
  {
    name: 'topics-many',
    address: '#/topics',
    household: now => ({ ...calmHousehold(now), topics: manyTopics(5000, now) }),
  },
  { name: 'topics-empty', address: '#/topics', household: emptyHousehold },
  { name: 'clients', address: '#/clients' },
  { name: 'clients-open', address: '#/clients?phone-of-anna' },
  { name: 'clients-empty', address: '#/clients', household: emptyHousehold },
  { name: 'bridges', address: '#/bridges', whole: true, prepare: openDead },
  { name: 'bridges-empty', address: '#/bridges', household: emptyHousehold },
  { name: 'devices', address: '#/devices', whole: true },
  { name: 'health', address: '#/health', whole: true },
  { name: 'settings', address: '#/settings', whole: true, prepare: check },
  { name: 'more', address: '#/more' },
  { name: 'login', address: '', locked: true, prepare: fail },
  { name: 'broken', address: '', household: now => ({ ...troubledHousehold(now), hello: brokenHello(now) }) },
]

const SCREENS = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } } as const
const LOOKS = ['light', 'dark'] as const

async function settle(page: Page): Promise<void> {
  await page.waitForTimeout(800)
}

async function openTable(page: Page): Promise<void> {
  await page.locator('.chart canvas').waitFor({ state: 'attached' })
  await page.getByText('Hour by hour').click()
}

async function press(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Off: Lamp' }).click()
  await page.getByText('sending off…').waitFor()
}

async function lose(page: Page, server: FakeDashboard): Promise<void> {
  await page.locator('.card').first().waitFor()
  await server.stop()
  await page.getByText('The gateway does not answer.').first().waitFor()
}

async function clearBranch(page: Page): Promise<void> {
  await page.getByRole('button', { name: /from here down/ }).click()
}

async function openDead(page: Page): Promise<void> {
  await page.getByText('would not take').click()
  await page.getByText('Packet too large').waitFor()
}

async function check(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Check the file' }).click()
  await page.locator('.faults').waitFor()
}

async function fail(page: Page): Promise<void> {
  await page.getByLabel('User').fill('anna')
  await page.getByLabel('Password').fill('wrong')
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('alert').waitFor()
}

async function shoot(
  browser: Browser,
  scene: Scene,
  screen: keyof typeof SCREENS,
  look: 'light' | 'dark',
  file: string,
) {
  const server = new FakeDashboard((scene.household ?? troubledHousehold)(Date.now()))
  server.session = { needsLogin: scene.locked === true }
  server.silent = scene.silent === true
  await server.start()
  const { page, faults, close } = await openPage(browser, {
    viewport: SCREENS[screen],
    colorScheme: look,
    deviceScaleFactor: 1,
    isMobile: screen === 'phone',
    hasTouch: screen === 'phone',
    reducedMotion: scene.silent ? 'no-preference' : 'reduce',
  })
  try {
    await page.goto(server.url + scene.address)
    await page.locator('h1').first().waitFor()
    await page.waitForTimeout(250)
    await scene.prepare?.(page, server)
    if (scene.whole) await growTo(page, SCREENS[screen])
    await page.screenshot({ path: file, animations: 'disabled' })
  } finally {
    await close()
    await server.stop()
  }
  for (const fault of faults) process.stdout.write(`${file}: ${fault}\n`)
  return faults.length
}

/** The page scrolls inside its frame: the window is made as high as what is in it. */
async function growTo(page: Page, size: { width: number; height: number }): Promise<void> {
  const hidden = await page.locator('main').evaluate(main => main.scrollHeight - main.clientHeight)
  await page.setViewportSize({ width: size.width, height: size.height + hidden })
  await page.waitForTimeout(150)
}

async function main(args: readonly string[]): Promise<void> {
  const browser = await startBrowser()
  let faults = 0
  try {
    if (args[0] === '--readme') {
      mkdirSync('docs/images', { recursive: true })
      const calm: Scene = { name: 'home', address: '#/home', household: calmHousehold }
      faults += await shoot(browser, calm, 'desktop', 'light', 'docs/images/home.png')
      faults += await shoot(
        browser,
        { name: 'bridges', address: '#/bridges' },
        'phone',
        'dark',
        'docs/images/bridges-phone.png',
      )
      return
    }
    const folder = resolve('dist/screenshots')
    const wanted = SCENES.filter(scene => args.every(word => scene.name.includes(word)))
    if (args.length === 0) rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    for (const scene of wanted) {
      for (const screen of Object.keys(SCREENS) as (keyof typeof SCREENS)[]) {
        for (const look of LOOKS) {
          faults += await shoot(browser, scene, screen, look, join(folder, `${scene.name}-${screen}-${look}.png`))
        }
      }
    }
    process.stdout.write(`${wanted.length * 4} pictures in ${folder}\n`)
  } finally {
    await browser.close()
    if (faults > 0) process.exitCode = 1
  }
}

await main(process.argv.slice(2))
