/** Which page is shown: the part of the address after `#/`, so that back, reload and bookmarks do what they should. */
import { computed, signal } from '@preact/signals'
import type { Section } from '../api.ts'

export type PageName = 'home' | 'topics' | 'clients' | 'bridges' | 'devices' | 'health' | 'settings' | 'more'

/** What each page needs of the stream. */
export const SECTIONS: Readonly<Record<PageName, readonly Section[]>> = {
  home: ['overview', 'home'],
  topics: ['overview', 'topics'],
  clients: ['overview', 'clients'],
  bridges: ['overview', 'bridges'],
  devices: ['overview', 'devices'],
  health: ['overview', 'health', 'log'],
  settings: ['overview'],
  more: ['overview'],
}

/** While the gateway cannot run there is nothing but the log. */
export const WHILE_BROKEN: readonly Section[] = ['overview', 'log']

interface Place {
  readonly page: PageName
  /** What is open on the page: a topic, a client, … */
  readonly item: string | undefined
}

const place = signal<Place>({ page: 'home', item: undefined })

export const page = computed(() => place.value.page)
export const item = computed(() => place.value.item)

/** The address of a page, and of an item on it. */
export function hrefOf(name: PageName, what?: string): string {
  return what === undefined ? `#/${name}` : `#/${name}?${encodeURIComponent(what)}`
}

export function open(name: PageName, what?: string): void {
  location.hash = hrefOf(name, what)
}

/** Closes what is open on this page. */
export function closeItem(): void {
  location.hash = hrefOf(place.peek().page)
}

export function startRoute(): void {
  const read = (): void => {
    const [name = '', what] = location.hash.replace(/^#\/?/, '').split('?', 2)
    place.value = { page: name in SECTIONS ? (name as PageName) : 'home', item: decoded(what) }
  }
  read()
  addEventListener('hashchange', read)
}

function decoded(text: string | undefined): string | undefined {
  try {
    return text ? decodeURIComponent(text) : undefined
  } catch {
    return undefined
  }
}
