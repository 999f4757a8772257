/**
 * What the page knows of the gateway: a signal for each section of the stream, kept while its page is left so that
 * coming back shows something at once, and the session of this browser.
 */
import { computed, signal } from '@preact/signals'
import type {
  BridgeView,
  ClientState,
  DeviceView,
  Health,
  Hello,
  LogLine,
  Overview,
  Room,
  Section,
  Session,
  TopicState,
} from '../api.ts'
import { get, remove } from './ask.ts'
import { type EventName, Link, linkState } from './link.ts'
import { after, setGatewayTime } from './time.ts'
import { TopicTree } from './topic-tree.ts'
import { some } from './words.ts'

/** Log lines that are kept: a screen or ten, and few enough for a phone to show them all. */
const LOG_LINES = 200
/** All that a new stream begins with has come by then, in ms. A topic that has not is gone; one that is late comes back. */
const ALL_ARRIVED = 4000

export const session = signal<Session | undefined>(undefined)
/** The gateway could not even be asked who this is. */
export const unreachable = signal(false)
export const hello = signal<Hello | undefined>(undefined)
export const overview = signal<Overview | undefined>(undefined)
export const home = signal<readonly Room[] | undefined>(undefined)
export const clients = signal<readonly ClientState[] | undefined>(undefined)
export const bridges = signal<readonly BridgeView[] | undefined>(undefined)
export const devices = signal<readonly DeviceView[] | undefined>(undefined)
export const health = signal<Health | undefined>(undefined)
export const log = signal<readonly LogLine[] | undefined>(undefined)

export const topics = new TopicTree()
/** Whether the gateway has told any topics yet. */
export const topicsKnown = signal(false)
/** Moves when a value has changed; `topicsShape` when topics have come or gone. */
export const topicsChanged = signal(0)
export const topicsShape = signal(0)

/** Whether commands make sense: the gateway hears them, and is not waiting for its configuration. */
export const mayAct = computed(() => linkState.value === 'live' && hello.value?.broken === undefined)

/** Nobody is logged in where somebody must be. */
export const lockedOut = computed(() => session.value?.needsLogin === true && session.value.user === undefined)

/** What is not as it should be, in sentences. Undefined while nothing is known. */
export const problems = computed(() => {
  const told = overview.value
  if (told === undefined || told.troubles.length > 0) return told?.troubles
  const { devices, bridges } = told
  const away = devices.all - devices.online
  const cut = bridges.all - bridges.connected
  return [
    ...(away > 0 ? [`${some(away, 'device')} ${away === 1 ? 'is' : 'are'} not online.`] : []),
    ...(cut > 0 ? [`${some(cut, 'bridge')} ${cut === 1 ? 'is' : 'are'} not connected.`] : []),
  ]
})

export const link = new Link({ take, probe: askSession })

/** Asks who this is. True when the gateway answered within `patience` ms. */
export async function askSession(patience?: number): Promise<boolean> {
  try {
    const told = await get<Session>('session', patience)
    if (JSON.stringify(told) !== JSON.stringify(session.peek())) session.value = told
    unreachable.value = false
    return true
  } catch {
    unreachable.value = session.peek() === undefined
    return false
  }
}

export async function logOut(): Promise<void> {
  await remove('session')
  await askSession()
}

/** Nothing of what one person saw is left for the next. */
export function forget(): void {
  for (const section of [overview, home, clients, bridges, devices, health, log, hello]) section.value = undefined
  topics.clear()
  topicsKnown.value = false
}

function take(name: EventName, data: unknown): void {
  switch (name) {
    case 'hello':
      takeHello(data as Hello)
      return
    case 'begin':
      takeAnew(data as Section[])
      return
    case 'topics':
      if (topics.put(data as TopicState[]) || !topicsKnown.peek()) topicsShape.value++
      topicsKnown.value = true
      topicsChanged.value++
      return
    case 'removed':
      if (topics.remove(data as string[])) topicsShape.value++
      return
    case 'log':
      log.value = [...(log.peek() ?? []), ...(data as LogLine[])].slice(-LOG_LINES)
      return
    case 'overview':
      overview.value = data as Overview
      return
    case 'home':
      home.value = data as Room[]
      return
    case 'clients':
      clients.value = data as ClientState[]
      return
    case 'bridges':
      bridges.value = data as BridgeView[]
      return
    case 'devices':
      devices.value = data as DeviceView[]
      return
    case 'health':
      health.value = data as Health
  }
}

/** A stream begins, or what it began with has changed. */
function takeHello(told: Hello): void {
  const before = hello.peek()
  // Another program answers now: its page may know what this one does not.
  if (before !== undefined && before.build !== told.build) {
    location.reload()
    return
  }
  setGatewayTime(told.now)
  hello.value = told
}

let cancelSweep: (() => void) | undefined

/** A new stream brings all topics and the last log lines again: what is here now would be there twice, or be gone. */
function takeAnew(sections: readonly Section[]): void {
  const hasTopics = sections.includes('topics')
  const hasLog = sections.includes('log')
  if (hasLog) log.value = undefined
  if (hasTopics) topics.begin()
  cancelSweep?.()
  cancelSweep = after(ALL_ARRIVED, () => {
    if (hasTopics && topics.sweep()) topicsShape.value++
    // Where nothing came, there is nothing.
    if (hasTopics) topicsKnown.value = true
    if (hasLog) log.value ??= []
  })
}
