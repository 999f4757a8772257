/**
 * What stands around every page: the rail (on a phone: tabs at the foot), a banner when the gateway is not heard, and
 * the place where the page goes.
 */
import type { ComponentChildren } from 'preact'
import { useEffect, useErrorBoundary, useRef } from 'preact/hooks'
import { hello, link, problems } from './gateway.ts'
import { Icon, type IconName, Mark } from './icons.tsx'
import { linkState, nextAttempt } from './link.ts'
import { say } from './notices.tsx'
import { BridgesPage } from './pages/bridges.tsx'
import { BrokenPage } from './pages/broken.tsx'
import { ClientsPage } from './pages/clients.tsx'
import { DevicesPage } from './pages/devices.tsx'
import { HealthPage } from './pages/health.tsx'
import { HomePage } from './pages/home.tsx'
import { SettingsPage } from './pages/settings.tsx'
import { TopicsPage } from './pages/topics.tsx'
import { Failure, State } from './parts.tsx'
import { hrefOf, type PageName, page } from './route.ts'
import { after, monotonic, now } from './time.ts'
import { dateTime } from './words.ts'

const NAMES: Readonly<Record<PageName, { words: string; icon: IconName }>> = {
  home: { words: 'Home', icon: 'home' },
  topics: { words: 'Topics', icon: 'topics' },
  devices: { words: 'Devices', icon: 'devices' },
  clients: { words: 'Clients', icon: 'clients' },
  bridges: { words: 'Bridges', icon: 'bridges' },
  health: { words: 'Health', icon: 'health' },
  settings: { words: 'Settings', icon: 'settings' },
  more: { words: 'More', icon: 'more' },
}
/** What fits on a phone with room for a finger; the rest is behind the last. */
const TABS: readonly PageName[] = ['home', 'topics', 'devices', 'health', 'more']
const BEHIND: readonly PageName[] = ['clients', 'bridges', 'settings']
const RAIL: readonly PageName[] = ['home', 'topics', 'devices', 'clients', 'bridges', 'health', 'settings']

const PAGES: Readonly<Record<PageName, () => preact.JSX.Element>> = {
  home: HomePage,
  topics: TopicsPage,
  devices: DevicesPage,
  clients: ClientsPage,
  bridges: BridgesPage,
  health: HealthPage,
  settings: SettingsPage,
  more: MorePage,
}

export function Frame() {
  const name = page.value
  const broken = hello.value?.broken
  const Page = PAGES[name]
  const main = useRef<HTMLElement>(null)
  const first = useRef(true)
  const title = hello.value?.name
  useEffect(() => {
    document.title = `${NAMES[name].words} – ${title ?? 'Larder'}`
  }, [name, title])
  useEffect(() => {
    // Who came by a link goes on reading on the new page; who has just arrived stays where the browser is.
    if (!first.current) main.current?.focus()
    first.current = false
    main.current?.scrollTo(0, 0)
  }, [name])
  return (
    <div class="frame">
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the page
      </button>
      <nav class="rail" aria-label="Pages">
        <p class="brand">
          <Mark />
          <span>
            Larder
            <small>{title ?? '\u00a0'}</small>
          </span>
        </p>
        {RAIL.map(one => (
          <Tab key={one} name={one} current={one === name} />
        ))}
      </nav>
      <div class="stage">
        <Banners />
        <main ref={main} id="page-main" class={`page page-${name}`} tabIndex={-1}>
          <Guard key={name}>
            {broken === undefined || name === 'settings' ? <Page /> : <BrokenPage faults={broken} />}
          </Guard>
        </main>
      </div>
      <nav class="tabs" aria-label="Pages">
        {TABS.map(one => (
          <Tab key={one} name={one} current={one === name || (one === 'more' && BEHIND.includes(name))} />
        ))}
      </nav>
    </div>
  )
}

/** What comes next may be shown again, in ms. */
const TRY_AGAIN = 3000

/** A fault in one page is told in its place, and the others can still be reached. */
function Guard(props: { children: ComponentChildren }) {
  const [error, again] = useErrorBoundary()
  useEffect(() => (error === undefined ? undefined : after(TRY_AGAIN, again)), [error, again])
  if (error === undefined) return props.children
  return (
    <Failure message="This page cannot be shown." hint={`A fault of the page itself: ${error}`}>
      <p>
        <button type="button" onClick={again}>
          Try again
        </button>
      </p>
    </Failure>
  )
}

function Tab(props: { name: PageName; current: boolean }) {
  const { words, icon } = NAMES[props.name]
  const troubled = props.name === 'health' && (problems.value?.length ?? 0) > 0
  return (
    <a class="tab" href={hrefOf(props.name)} aria-current={props.current ? 'page' : undefined}>
      <Icon name={icon} />
      <span>
        {words}
        {troubled && <span class="dot">, {problems.value?.length} to see to</span>}
      </span>
    </a>
  )
}

function Banners() {
  const state = linkState.value
  const synced = hello.value?.clockSynced ?? true
  const before = useRef(state)
  useEffect(() => {
    if (state === 'lost') say('The gateway does not answer. What is shown is old.')
    else if (before.current === 'lost') say('The gateway answers again.')
    before.current = state
  }, [state])
  return (
    <>
      {state === 'lost' && <Lost />}
      {!synced && state !== 'lost' && (
        <div class="banner warn">
          <State tone="warn" icon="wait">
            The gateway does not know the right time yet ({dateTime(now.value)}); ages and times may be wrong.
          </State>
        </div>
      )}
    </>
  )
}

function Lost() {
  // Moves with the clock.
  now.value
  const left = nextAttempt.value === undefined ? 0 : Math.max(0, Math.ceil((nextAttempt.value - monotonic()) / 1000))
  return (
    <div class="banner fail">
      <State tone="fail" icon="warn">
        The gateway does not answer. What is shown is old.
      </State>
      <span class="quiet-text">{left > 0 ? `Next try in ${left} s` : 'Trying now'}</span>
      <button type="button" onClick={() => link.retry()}>
        Try now
      </button>
    </div>
  )
}

function MorePage() {
  return (
    <>
      <h1>More</h1>
      <ul class="plain-list menu">
        {BEHIND.map(name => (
          <li key={name}>
            <Tab name={name} current={false} />
          </li>
        ))}
      </ul>
    </>
  )
}
