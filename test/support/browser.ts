/**
 * Debian's Chromium, headless, driven by playwright-core: a browser, and pages that remember whatever a person must never
 * see: errors, refused resources, violations of the Content-Security-Policy.
 */
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { findBinary } from './needs.ts'

/** Deadline in ms of what the page is waited for, on a loaded machine. */
const PATIENCE = 15_000

export async function startBrowser(): Promise<Browser> {
  return await chromium.launch({
    executablePath: findBinary('chromium') ?? 'chromium',
    // Containers have no user namespaces and a small /dev/shm; nothing but our own page is opened.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--font-render-hinting=none'],
  })
}

export interface OpenPage {
  readonly page: Page
  /** What went wrong in it so far. */
  readonly faults: string[]
  close(): Promise<void>
}

/** A page of its own: no cookies, no cache of others. The address is not opened yet. */
export async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<OpenPage> {
  const context = await browser.newContext({ locale: 'en-GB', ...options })
  context.setDefaultTimeout(PATIENCE)
  const page = await context.newPage()
  const faults: string[] = []
  page.on('pageerror', error => faults.push(`error: ${error.message}`))
  page.on('console', message => {
    // A stream that breaks, an answer that is a refusal: the browser writes these down by itself.
    const ownWords = /Failed to load resource|net::ERR_/.test(message.text())
    if (message.type() === 'error' && !ownWords) faults.push(`console: ${message.text()}`)
  })
  await page.exposeFunction('larderViolation', (what: string) => faults.push(`policy: ${what}`))
  await page.addInitScript(() => {
    const scope = globalThis as unknown as {
      addEventListener(name: string, listener: (event: { violatedDirective: string; blockedURI: string }) => void): void
      larderViolation(what: string): void
    }
    scope.addEventListener('securitypolicyviolation', event => {
      scope.larderViolation(`${event.violatedDirective} ${event.blockedURI}`)
    })
  })
  return { page, faults, close: () => context.close() }
}
