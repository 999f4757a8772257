/**
 * The web page in states that a gateway cannot be brought into at will, before a server that only speaks its contract:
 * whether everybody can use it, what it says while a command is on its way, when the stream breaks, when the
 * configuration is broken, at the first run.
 */
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openPage, startBrowser } from '../support/browser.ts'
import { FakeDashboard } from '../support/fake-dashboard.ts'
import { ROOT } from '../support/gateway.ts'
import { needs } from '../support/needs.ts'
import { audit } from '../support/page-audit.ts'
import { brokenHello, calmHousehold, emptyHousehold, troubledHousehold } from '../support/page-fixtures.ts'
import { manyTopics } from '../support/page-house.ts'
import { run } from '../support/process.ts'
import { until } from '../support/wait.ts'

const PAGES = ['home', 'topics', 'clients', 'bridges', 'devices', 'health', 'settings', 'more'] as const
const PHONE = { width: 360, height: 740 }
const DESKTOP = { width: 1280, height: 800 }

describe.skipIf(!needs('chromium'))('the web page', () => {
  let browser: Browser
  let server: FakeDashboard
  beforeAll(async () => {
    // The page alone: no gateway is needed.
    expect(await run(process.execPath, ['scripts/build-page.mjs'], { cwd: ROOT })).toMatchObject({ code: 0 })
    browser = await startBrowser()
  })
  afterAll(async () => await browser?.close())
  beforeEach(async () => {
    server = new FakeDashboard(troubledHousehold(Date.now()))
    await server.start()
  })
  afterEach(async () => await server.stop())

  /** Opens the page at `address`, does what is asked, and sees that nothing went wrong in it. */
  async function visit(
    address: string,
    what: (page: Page) => Promise<void>,
    options: Parameters<typeof openPage>[1] = {},
  ): Promise<void> {
    const { page, faults, close } = await openPage(browser, { viewport: DESKTOP, ...options })
    try {
      await page.goto(server.url + address)
      await what(page)
      expect(faults).toEqual([])
    } finally {
      await close()
    }
  }

  describe.each(['light', 'dark'] as const)('in its %s colours', colorScheme => {
    test.each(PAGES)('%s can be read, named, touched and fits a phone and a desktop', async name => {
      await visit(
        `#/${name}`,
        async page => {
          await page.locator('h1').waitFor()
          await until(async () => (await page.locator('.skeleton').count()) === 0, { what: 'the page to be whole' })
          expect(await audit(page)).toEqual([])
          await page.setViewportSize(DESKTOP)
          expect(await audit(page)).toEqual([])
        },
        { viewport: PHONE, colorScheme, isMobile: true, hasTouch: true },
      )
    })

    test.each([
      ['a history', '#/home?kitchen%2Fco2', '.chart'],
      ['a topic', '#/topics?%2FHome%2FKitchen%2FThermometer', '.payload'],
      ['a client', '#/clients?phone-of-anna', '.sheet .facts'],
    ])('%s too', async (_, address, part) => {
      await visit(
        address,
        async page => {
          await page.locator(part).waitFor({ state: 'attached' })
          expect(await audit(page)).toEqual([])
        },
        { viewport: PHONE, colorScheme, isMobile: true, hasTouch: true },
      )
    })

    test('so can the login, the broken configuration and the first run', async () => {
      const options = { viewport: PHONE, colorScheme, isMobile: true, hasTouch: true }
      server.session = { needsLogin: true }
      await visit(
        '',
        async page => {
          await page.getByLabel('Password').waitFor()
          expect(await audit(page)).toEqual([])
        },
        options,
      )
      server.session = { needsLogin: false }
      server.household = { ...server.household, hello: brokenHello(Date.now()) }
      await visit(
        '',
        async page => {
          await page.locator('.faults').waitFor()
          expect(await audit(page)).toEqual([])
        },
        options,
      )
      server.household = emptyHousehold(Date.now())
      await visit(
        '',
        async page => {
          await page.getByText('Look again').waitFor()
          expect(await audit(page)).toEqual([])
        },
        options,
      )
    })
  })

  test('(and who looks for that finds it)', async () => {
    await visit('#/settings', async page => {
      await page.getByLabel('Dark').waitFor()
      await page.evaluate(`(() => {
        const put = (name, style) => {
          const element = document.createElement(name)
          Object.assign(element.style, style)
          document.querySelector('main').append(element)
          return element
        }
        put('button', { width: '60px', height: '60px' })
        put('button', { height: '20px', minHeight: '0' }).textContent = 'low'
        put('p', { opacity: '0.6' }).textContent = 'faint'
        put('p', { width: '3000px' })
      })()`)
      expect(await audit(page)).toEqual([
        'a button has no name',
        expect.stringMatching(/^"faint" has a contrast of [1-4]\./),
        expect.stringMatching(/^"low" is only/),
        expect.stringMatching(/^MAIN page page-settings is 1\d\d\d px wide/),
      ])
    })
  })

  test('a switch says "sending" until the thing itself has told its state', async () => {
    server.household = calmHousehold(Date.now())
    await visit('#/home', async page => {
      await page.getByRole('button', { name: 'Off: Lamp' }).click()
      await page.getByText('sending off…').waitFor()
      const asked = await until(() => server.asked.find(({ path }) => path === 'publish'), { what: 'the command' })
      expect(JSON.parse(asked.body)).toEqual({ topic: '/Home/Kitchen/Lamp/set', payload: 'off', qos: 1, retain: false })
      server.send('home', lampSays('off'))
      await page.getByText('sending off…').waitFor({ state: 'detached' })
      expect(await page.getByRole('button', { name: 'Off: Lamp' }).getAttribute('aria-pressed')).toBe('true')
    })
  })

  test('a switch that nobody answers says so', async () => {
    server.household = calmHousehold(Date.now())
    await visit('#/home', async page => {
      await page.getByRole('button', { name: 'Off: Lamp' }).click()
      await page.getByText('no answer in 5 s').waitFor()
      expect(await page.getByRole('button', { name: 'Off: Lamp' }).isEnabled()).toBe(true)
    })
  })

  function lampSays(value: string) {
    return server.household.home.map(room => ({
      ...room,
      things: room.things.map(thing =>
        thing.name === 'Lamp' ? { ...thing, values: [{ name: '', value, at: Date.now() }] } : thing,
      ),
    }))
  }

  test('what is stale or offline says so in words, and an unknown value is a dash', async () => {
    await visit('#/home', async page => {
      await page
        .getByRole('article', { name: 'Freezer' })
        .getByText(/^stale 4.min$/)
        .waitFor()
      await page
        .getByRole('article', { name: 'Water meter' })
        .getByText(/^offline 2.h/)
        .waitFor()
      await page.getByRole('article', { name: 'Pump' }).getByText('–').waitFor()
    })
  })

  test.each([
    ['a phone', PHONE],
    ['a desktop', DESKTOP],
  ])('on %s nothing moves when something goes wrong', async (_, viewport) => {
    server.household = calmHousehold(Date.now())
    const visitor = async (page: Page) => {
      await page.getByText('All is well').waitFor()
      const places = () =>
        page.evaluate<string>(`JSON.stringify([...document.querySelectorAll('.card')].map(card => {
          const { x, y, width, height } = card.getBoundingClientRect()
          return [card.ariaLabel, x, y, width, height].map(String)
        }))`)
      const before = await places()
      expect(JSON.parse(before)).toHaveLength(8)
      const { overview, home } = troubledHousehold(Date.now())
      server.send('overview', overview)
      server.send('home', home)
      await page.getByText(/^offline 2.h/).waitFor()
      await page.getByRole('link', { name: 'and 1 more' }).waitFor()
      expect(await places()).toBe(before)
    }
    await visit('#/home', visitor, { viewport })
  })

  test('a stream that breaks is told within 5 s, commands are off, and it comes back by itself', async () => {
    server.household = calmHousehold(Date.now())
    await visit('#/home', async page => {
      const lamp = page.getByRole('button', { name: 'Off: Lamp' })
      await lamp.waitFor()
      const began = performance.now()
      await server.stop()
      await page.locator('.banner').getByText('The gateway does not answer.').waitFor({ timeout: 5000 })
      process.stdout.write(`a broken stream was told after ${Math.round(performance.now() - began)} ms\n`)
      expect(await lamp.isDisabled()).toBe(true)
      await server.start()
      await page.locator('.banner').getByText('The gateway does not answer.').waitFor({ state: 'detached' })
      expect(await lamp.isEnabled()).toBe(true)
    })
  })

  test('nothing is streamed while nobody sees the page', async () => {
    await visit('#/home', async page => {
      await page.locator('.card').first().waitFor()
      expect(server.streams).toBe(1)
      await setHidden(page, true)
      await until(() => server.streams === 0, { what: 'the stream to be closed' })
      await setHidden(page, false)
      await until(() => server.streams === 1, { what: 'the stream to be back' })
    })
  })

  test('each page asks for its own sections, over one stream', async () => {
    await visit('#/home', async page => {
      await page.locator('.card').first().waitFor()
      await page.getByRole('link', { name: 'Clients', exact: true }).click()
      await page.getByText('zigbee2mqtt').waitFor()
      await until(() => server.streams === 1, { what: 'one stream' })
    })
  })

  test('a broken configuration is explained, and the page goes on when it is mended', async () => {
    const mended = server.household
    server.household = { ...mended, hello: brokenHello(Date.now()) }
    await visit('#/home', async page => {
      const fault = page.locator('.faults li').first()
      expect(await fault.textContent()).toMatch(/larder\.yaml:12:30[\s\S]*unknown key[\s\S]*did you mean 'baud'/)
      // Whether it has its stream just then or opens it anew.
      server.household = mended
      server.send('hello', { ...mended.hello, now: Date.now() })
      await page.locator('.card').first().waitFor()
    })
  })

  test('the first run shows lines that can be copied', async () => {
    server.household = emptyHousehold(Date.now())
    await visit(
      '#/home',
      async page => {
        await page.getByRole('button', { name: /^Copy the lines for \/dev\/serial\/by-id/ }).click()
        await page.getByText('Copied.').waitFor()
        const copied = await page.evaluate('navigator.clipboard.readText()')
        expect(copied).toBe(`- name: Name it\n  room: Kitchen\n  ${server.household.discovery.ports[0]?.config}`)
      },
      { permissions: ['clipboard-read', 'clipboard-write'] },
    )
  })

  test('clearing a branch says how many, asks, and can be undone', async () => {
    await visit('#/topics?%2FHome%2FKitchen', async page => {
      await page.getByRole('button', { name: 'Clear 5 retained from here down' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByRole('heading', { name: 'Clear 5 retained messages?' }).waitFor()
      await page.keyboard.press('Escape')
      await dialog.waitFor({ state: 'detached' })
      expect(server.asked.filter(({ path }) => path === 'clear')).toEqual([])
      await page.getByRole('button', { name: 'Clear 5 retained from here down' }).click()
      await dialog.getByRole('button', { name: 'Clear 5 retained messages' }).click()
      await page.getByRole('button', { name: 'Undo' }).click()
      const undone = await until(() => server.asked.find(({ path }) => path === 'unclear'), { what: 'the undoing' })
      expect(JSON.parse(undone.body)).toEqual({ token: 'undo' })
      const cleared = server.asked.find(({ path }) => path === 'clear')
      expect(JSON.parse(cleared?.body ?? '{}').topics).toContain('/Home/Kitchen/Thermometer/availability')
    })
  })

  test('the tree goes by the keyboard', async () => {
    await visit('#/topics', async page => {
      const tree = page.getByRole('tree', { name: 'Topics' })
      await tree.focus()
      await page.keyboard.press('ArrowDown')
      const current = () => page.locator('.tree-row.active .tree-name').textContent()
      expect(await current()).toBe('Cellar')
      await page.keyboard.press('ArrowLeft')
      await until(async () => (await page.getByText('Freezer').count()) === 0, { what: 'the branch to close' })
      await page.keyboard.press('ArrowRight')
      await page.getByText('Freezer').waitFor()
      await page.keyboard.press('ArrowDown')
      await page.keyboard.press('Enter')
      await page.getByRole('region', { name: '/Home/Cellar/Freezer' }).waitFor()
    })
  })

  test('of many rows only those on show exist, and the last can be reached', async () => {
    server.household = { ...server.household, topics: manyTopics(5000, Date.now()) }
    await visit('#/topics', async page => {
      await page
        .getByText(/^5,000.topics$/)
        .first()
        .waitFor()
      await page.getByLabel('Search topics and values').fill('plant')
      await page.getByText('5,000 found').waitFor()
      expect(await page.locator('.tree-row').count()).toBeLessThan(100)
      await page.getByRole('tree').focus()
      await page.keyboard.press('End')
      await page.getByText('plant/hall9/line24/sensor4999').waitFor()
      expect(await page.locator('.tree-row').count()).toBeLessThan(100)
    })
  })

  test('colours follow the system until they are chosen, and the choice stays', async () => {
    await visit(
      '#/settings',
      async page => {
        const look = () => page.evaluate('document.documentElement.dataset.look')
        await page.getByLabel('Dark').waitFor()
        expect(await look()).toBe('light')
        await page.emulateMedia({ colorScheme: 'dark' })
        await until(async () => (await look()) === 'dark', { what: 'the dark colours' })
        await page.getByLabel('Light').check()
        expect(await look()).toBe('light')
        // What is decided in the head is decided before anything is painted.
        await page.reload({ waitUntil: 'commit' })
        await page.locator('body').waitFor({ state: 'attached' })
        expect(await look()).toBe('light')
      },
      { colorScheme: 'light' },
    )
  })

  test('what a page cannot show leaves the others alone', async () => {
    await visit('#/home', async page => {
      await page.locator('.card').first().waitFor()
      server.send('home', [{ name: 'Kitchen', things: null }])
      await page.getByText('This page cannot be shown.').waitFor()
      server.household = { ...server.household, home: [] }
      await page.getByRole('link', { name: 'Clients', exact: true }).click()
      await page.getByText('zigbee2mqtt').waitFor()
      await page.getByRole('link', { name: 'Home', exact: true }).click()
      await page.getByText('No things yet').waitFor()
    })
  })

  test('a page of another build loads itself anew', async () => {
    await visit('#/home', async page => {
      await page.locator('.card').first().waitFor()
      const loaded = page.waitForEvent('load')
      // Told on every stream, so that it does not matter whether the page is just changing it.
      const hello = { ...server.household.hello, build: 'another' }
      server.household = { ...server.household, hello }
      server.send('hello', { ...hello, now: Date.now() })
      await loaded
    })
  })

  async function setHidden(page: Page, hidden: boolean): Promise<void> {
    await page.evaluate(`(() => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => ${hidden} })
      document.dispatchEvent(new Event('visibilitychange'))
    })()`)
  }
})
