/** What the page shows, made of what the gateway's parts know. Asked for at most once a second, and only while somebody looks. */
import { statfs } from 'node:fs/promises'
import type { Clock } from '../kernel/clock.ts'
import type {
  ClientState,
  DeviceView,
  Health,
  Overview,
  Room,
  Section,
  Sections as Shown,
  Thing,
  ValueView,
} from './api.ts'
import type { History, Sample } from './history.ts'
import type { ClientFigures, Subject, ThingFigures } from './ports.ts'
import { Rates } from './rates.ts'

/** Clients that are shown: those that are connected first. More are a table that nobody reads, and a message that no phone wants each second. */
export const MAX_CLIENTS = 1_000
/** Characters of their names and subscriptions: clients choose these, and a browser is sent all of them again each second. */
export const MAX_CLIENTS_LENGTH = 4 * 1024 * 1024
/** Milliseconds between two looks at the disk. */
const DISK_INTERVAL_MS = 10_000

const VERSIONS = { 3: '3.1', 4: '3.1.1', 5: '5' } as const

export class Sections {
  readonly #subject: Subject
  readonly #history: History
  readonly #clock: Clock
  readonly #rates: Rates
  #disk: { free: number; size: number } = { free: 0, size: 0 }
  #diskAt = Number.NEGATIVE_INFINITY

  constructor(deps: { subject: Subject; history: History; clock: Clock }) {
    this.#subject = deps.subject
    this.#history = deps.history
    this.#clock = deps.clock
    this.#rates = new Rates({ clock: deps.clock })
  }

  look(section: Exclude<Section, 'topics' | 'log'>): Shown[Section] {
    switch (section) {
      case 'overview':
        return this.#overview()
      case 'home':
        return this.#home()
      case 'clients':
        return this.#clients()
      case 'bridges':
        return this.#subject.bridges().map(bridge => ({
          ...bridge,
          rateOut: tidy(bridge.rateOut),
          rateIn: tidy(bridge.rateIn),
        }))
      case 'devices':
        return this.#subject.things().map(deviceOf)
      case 'health':
        return this.#health()
    }
  }

  /** Numbers that the history is made of: of things that are there. */
  *samples(): Generator<Sample> {
    for (const { state, latest } of this.#subject.things()) {
      if (state.state !== 'online') continue
      for (const [name, { value }] of latest) {
        if (typeof value !== 'number') continue
        yield { series: seriesOf(state, name), value, unit: state.values[name]?.unit }
      }
    }
  }

  #overview(): Overview {
    const { troubles, clients, bridges, devices, queues, traffic } = this.#subject.figures()
    return {
      troubles,
      clients: clients.connected,
      bridges: { all: bridges.length, connected: bridges.filter(({ connected }) => connected).length },
      devices: { all: devices.length, online: devices.filter(({ state }) => state === 'online').length },
      waiting: queues.messages,
      received: tidy(this.#rates.of('received', traffic.received)),
      sent: tidy(this.#rates.of('sent', traffic.sent)),
    }
  }

  #home(): Room[] {
    const rooms = new Map<string, Thing[]>()
    for (const figures of this.#subject.things()) {
      const { state, thing, latest, command } = figures
      // A receiver of radio sensors says nothing of its own: its parts do.
      const isOnlyCarrier = (thing as { parts?: unknown[] }).parts !== undefined && latest.size === 0
      if (isOnlyCarrier && command === undefined) continue
      const things = rooms.get(state.room) ?? []
      things.push(this.#thing(figures))
      rooms.set(state.room, things)
    }
    return Array.from(rooms, ([name, things]) => ({ name, things }))
  }

  #thing({ state, command, period, latest }: ThingFigures): Thing {
    const isAway = state.state === 'offline' || state.state === 'stale'
    const names = new Set([...latest.keys(), ...state.seen])
    return {
      id: `${state.room}/${state.name}`,
      name: state.name,
      topic: state.topic,
      state: state.state,
      since: state.since,
      ...(isAway && state.lastFault !== undefined ? { reason: state.lastFault.reason } : {}),
      ...(period === undefined ? {} : { period }),
      values: Array.from(names, (name): ValueView => {
        const { unit, deviceClass } = state.values[name] ?? {}
        const series = seriesOf(state, name)
        const spark = this.#history.spark(series)
        return {
          name,
          ...latest.get(name),
          ...(unit === undefined ? {} : { unit }),
          ...(deviceClass === undefined ? {} : { deviceClass }),
          ...(spark === undefined ? {} : { series, spark: spark.points, sparkStep: spark.step }),
        }
      }),
      ...(command === undefined ? {} : { command }),
    }
  }

  #clients(): ClientState[] {
    const clients = [...this.#subject.clients()]
    clients.sort((a, b) => Number(b.connected) - Number(a.connected) || (a.id < b.id ? -1 : 1))
    let length = 0
    const isTooMuch = (client: ClientFigures) => {
      length += client.id.length + client.subscriptions.reduce((sum, { filter }) => sum + filter.length, 0)
      return length > MAX_CLIENTS_LENGTH
    }
    const most = clients.slice(0, MAX_CLIENTS)
    const end = most.findIndex(isTooMuch)
    return most.slice(0, end === -1 ? MAX_CLIENTS : end).map(client => this.#client(client))
  }

  #client({ version, age, received, sent, ...rest }: ClientFigures): ClientState {
    const known = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)) as typeof rest
    return {
      ...(known as Omit<ClientState, 'received' | 'sent'>),
      ...(version === undefined ? {} : { version: VERSIONS[version] }),
      ...(age === undefined ? {} : { oldest: this.#ago(age) }),
      received: tidy(this.#rates.of(`received ${rest.id}`, received)),
      sent: tidy(this.#rates.of(`sent ${rest.id}`, sent)),
    }
  }

  #health(): Health {
    const subject = this.#subject
    const { troubles, queues, store, process, traffic, uptime, certificates } = subject.figures()
    const { diskWritten, processor } = process
    const written = diskWritten ?? store?.bytes ?? 0
    const { kind, state } = subject.store()
    this.#lookAtDisk()
    const { dropped, expired, refused } = queues
    return {
      troubles,
      store: {
        kind,
        state,
        messages: queues.messages,
        bytes: queues.bytes,
        retained: queues.retained,
        ...(queues.oldest ? { oldest: this.#ago(queues.oldest) } : {}),
        ...(store === undefined
          ? {}
          : { lossWindow: store.lossWindow === Number.POSITIVE_INFINITY ? -1 : store.lossWindow }),
        commits: store?.commits ?? 0,
        ...(store === undefined || store.latency.count === 0 ? {} : { commitMedian: medianOf(store.latency) }),
        elided: store?.elided ?? 0,
        written,
        ...(traffic.received === 0 ? {} : { writtenPerMessage: Math.round(written / traffic.received) }),
        failures: store?.failures ?? 0,
        damaged: store?.damaged ?? 0,
      },
      disk: { path: subject.dataDir, ...this.#disk },
      certificates,
      listeners: subject.listeners(),
      process: {
        resident: process.resident,
        heap: process.heap,
        processor: tidy(this.#rates.of('processor', processor) / 1000),
        loopDelay: tidy(process.loop.p99),
        uptime: Math.floor(uptime / 1000) * 1000,
      },
      dropped: {
        'not read by the client': traffic.dropped,
        'queue full': dropped,
        expired: traffic.expired + expired,
        'too large for the client': traffic.tooLarge,
        'not allowed': traffic.denied,
        'no room in the store': refused,
      },
    }
  }

  #lookAtDisk(): void {
    const now = this.#clock.monotonic()
    if (now - this.#diskAt < DISK_INTERVAL_MS) return
    this.#diskAt = now
    statfs(this.#subject.dataDir).then(
      ({ bavail, blocks, bsize }) => {
        this.#disk = { free: bavail * bsize, size: blocks * bsize }
      },
      () => {},
    )
  }

  /** To the second, so that it does not change with every look. */
  #ago(age: number): number {
    return Math.round((this.#clock.wall() - age) / 1000) * 1000
  }
}

function deviceOf({ state, place, lastFrame }: ThingFigures): DeviceView {
  const { name, room, kind, topic, partOf, since, lastFault, counters } = state
  return {
    id: `${room}/${name}`,
    name,
    room,
    kind,
    topic,
    ...(partOf === undefined ? {} : { partOf }),
    ...(place === undefined ? {} : { place }),
    state: state.state,
    since,
    readings: counters.readings,
    faults: counters.faults,
    commands: counters.commands,
    ...(lastFrame === undefined ? {} : { lastFrame: { at: lastFrame.at, text: printable(lastFrame.bytes) } }),
    ...(lastFault === undefined ? {} : { lastFault }),
  }
}

/** Bytes as text, with what is not printable as `\x1f`. */
export function printable(bytes: Uint8Array): string {
  return Array.from(bytes, byte => {
    if (byte === 0x5c) return '\\\\'
    return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`
  }).join('')
}

function seriesOf({ room, name }: { room: string; name: string }, value: string): string {
  return `${room}/${name}${value === '' ? '' : `#${value}`}`
}

/** The bound below which half of them lie. */
function medianOf({ bounds, counts, count }: { bounds: readonly number[]; counts: readonly number[]; count: number }) {
  let seen = 0
  for (const [index, each] of counts.entries()) {
    seen += each
    if (seen * 2 >= count) return bounds[index] ?? bounds.at(-1) ?? 0
  }
  return bounds.at(-1) ?? 0
}

/** Digits that mean something to a person: what changes in no digit that is seen is not told again. */
function tidy(number: number): number {
  return number === 0 ? 0 : Number(number.toPrecision(3))
}
