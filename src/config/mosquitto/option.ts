/** How the tables of options are written: what a line's value is, and what it does or why it does nothing. */
import type { BridgeDraft, Cursor, Draft, ListenerDraft } from './draft.ts'
import type { Place, Section, Value } from './section.ts'
import { anything, ConfFault, type Read } from './values.ts'

/** What a line has around it. */
export interface At {
  readonly draft: Draft
  readonly cursor: Cursor
  readonly place: Place
  /** Absolute path of one that the line names, relative to the working folder as in Mosquitto. */
  path(written: string): string
}

/** Does what the line says. Gives a notice for the owner, or undefined when it is honoured. Throws a ConfFault. */
export type Option = (rest: string, at: At) => string | undefined

/** A row that is honoured; a text that `take` returns says how far it is not. */
// biome-ignore lint/suspicious/noConfusingVoidType: a row that has nothing to say returns nothing
export function option<T>(read: Read<T>, take: (value: T, at: At) => string | undefined | void): Option {
  return (rest, at) => take(read(rest, at.place.option), at) ?? undefined
}

/** A row that is not honoured, and why not. */
export function named<T>(read: Read<T>, why: string): Option {
  return option(read, () => why)
}

/** A row whose option Mosquitto has given up, or that has nothing to do here: not even its value is looked at. */
export function ignored(why: string): Option {
  return named(anything, why)
}

/** A row that asks for what happens anyway when its value is `usual`. */
export function onlyAs<T>(read: Read<T>, usual: T, why: string): Option {
  return option(read, value => (value === usual ? undefined : why))
}

/** A row that is a key of a section of `larder.yaml`. */
export function key<T>(
  read: Read<T>,
  sectionOf: (at: At) => Section,
  name: string,
  shape: (value: T, at: At) => Value = value => value as Value,
): Option {
  return option(read, (value, at) => sectionOf(at).set(name, shape(value, at), at.place))
}

/** Keeps `number` between two bounds; a notice says so when it had to. */
export function bounded(number: number, min: number, max: number): { number: number; notice?: string } {
  const kept = Math.min(Math.max(number, min), max)
  return kept === number ? { number } : { number: kept, notice: `is taken as ${kept}: Larder has ${min} to ${max}` }
}

/** The bridge that a line speaks of. */
export function bridgeOf({ cursor }: At): BridgeDraft {
  if (cursor.bridge === undefined) throw new ConfFault('Invalid bridge configuration.')
  return cursor.bridge
}

/** The listener that a line speaks of; the default one when none is defined before. */
export function listenerOf({ cursor, draft, place }: At): ListenerDraft {
  if (cursor.listener === draft.defaultListener) draft.defaultListenerPlace ??= place
  return cursor.listener
}

/** The same for options that came after Mosquitto had default listeners. */
export function ownListenerOf({ cursor, draft, place }: At): ListenerDraft {
  if (cursor.listener === draft.defaultListener) {
    throw new ConfFault(`You must define a listener before using the ${place.option} option.`)
  }
  return cursor.listener
}

/** Where a security option goes: to its listener with `per_listener_settings`, else to all. */
export function accessOf(at: At): Section {
  at.draft.hasSecurity = true
  return at.draft.perListener ? at.cursor.listener.access : at.draft.access
}
