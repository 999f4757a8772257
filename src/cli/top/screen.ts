/** What `larder top` shows: how the gateway is doing, and by how much its numbers went on since the look before. */
import { bytes, count, span } from '../words.ts'

/** What the running gateway answers: its status as `larder status --json` prints it, and its busiest clients. */
export interface Look {
  /** Monotonic, in milliseconds. */
  readonly at: number
  readonly status: Status
  readonly clients: readonly ClientLook[]
}

export interface Status {
  readonly version: string
  readonly troubles: readonly string[]
  /** Seconds. */
  readonly uptime: number
  readonly bridges: readonly {
    readonly name: string
    readonly connected: boolean
    readonly waiting: number
    readonly oldest?: number
    readonly sent: number
  }[]
  readonly devices: readonly { readonly room: string; readonly name: string; readonly state: string }[]
  /** By the names of Prometheus. */
  readonly metrics: Readonly<Record<string, unknown>>
}

export interface ClientLook {
  readonly id: string
  readonly connected: boolean
  readonly received: number
  readonly sent: number
  readonly waiting: number
  readonly waitingBytes: number
}

/** Devices that are not well and are named. */
const MAX_DEVICES = 5
/** Bridges that are named. */
const MAX_BRIDGES = 8

/** The lines of a screen of this size; without a look before, what there is since the start. */
export function screen(now: Look, before: Look | undefined, size: { columns: number; rows: number }): string[] {
  const figures = new Difference(now, before)
  const top = [...header(now.status), '', ...numbers(figures), ...bridges(figures), ...devices(now.status), '']
  const clients = clientRows(figures, Math.max(0, size.rows - top.length))
  return [...top, ...clients].slice(0, size.rows).map(line => shown(line, size.columns))
}

/** What a number is, and how fast it goes on. */
class Difference {
  readonly now: Look
  readonly before: Look | undefined
  readonly #seconds: number

  constructor(now: Look, before: Look | undefined) {
    this.now = now
    // A gateway that was started anew counts from 0 again.
    this.before = before !== undefined && before.status.uptime <= now.status.uptime ? before : undefined
    this.#seconds = this.before === undefined ? now.status.uptime : (now.at - this.before.at) / 1000
  }

  /** Of a metric, or of one value of it. */
  value(name: string, label?: string): number {
    return numberOf(this.now, name, label)
  }

  /** A second. */
  rate(name: string, label?: string): number {
    return this.perSecond(this.value(name, label), this.before === undefined ? 0 : numberOf(this.before, name, label))
  }

  perSecond(now: number, before: number): number {
    return Math.max(0, now - before) / Math.max(this.#seconds, 0.001)
  }
}

function numberOf({ status }: Look, name: string, label?: string): number {
  const value = status.metrics[name]
  const number = label === undefined ? value : (value as Record<string, unknown> | undefined)?.[label]
  return typeof number === 'number' ? number : 0
}

function header({ version, uptime, troubles }: Status): string[] {
  const health = troubles.length === 0 ? 'ok' : troubles.join('; ')
  return [`larder ${version}, up ${span(Math.round(uptime) * 1000)}: ${health}`]
}

function numbers(figures: Difference): string[] {
  const each = (name: string, label?: string) => perSecond(figures.rate(`larder_${name}`, label))
  const speed = (name: string, label?: string) => `${bytes(Math.round(figures.rate(name, label)))}/s`
  const drops = ['slow_reader', 'queue_full', 'expired', 'too_large'].map(reason =>
    figures.rate('larder_mqtt_publishes_dropped_total', reason),
  )
  const dropped = drops.reduce((sum, rate) => sum + rate, 0)
  const queues = Object.keys(figures.now.status.metrics.larder_queue_messages ?? {})
  const waiting = queues.reduce((sum, queue) => sum + figures.value('larder_queue_messages', queue), 0)
  const oldest = figures.value('larder_queue_oldest_age_seconds', 'clients')
  const age = waiting === 0 || oldest < 1 ? '' : `, the oldest for ${span(Math.round(oldest) * 1000)}`
  const processor = figures.rate('process_cpu_seconds_total') * 100
  const late = figures.value('nodejs_eventloop_lag_p99_seconds') * 1000
  return [
    `messages   ${each('mqtt_publishes_total', 'received')} in, ${each('mqtt_publishes_total', 'sent')} out, ${perSecond(dropped)} dropped`,
    `traffic    ${speed('larder_mqtt_bytes_total', 'received')} in, ${speed('larder_mqtt_bytes_total', 'sent')} out`,
    `clients    ${count(figures.value('larder_mqtt_clients', 'connected'))} connected, ${count(figures.value('larder_mqtt_clients', 'disconnected'))} away; ${each('mqtt_connects_total')} connect`,
    `waiting    ${count(waiting)} messages, ${bytes(figures.value('larder_queue_bytes'))}${age}`,
    `retained   ${count(figures.value('larder_mqtt_retained_messages'))} messages, ${bytes(figures.value('larder_mqtt_retained_bytes'))}`,
    `store      ${each('store_commits_total')} commits, ${each('store_elided_total')} messages never written; card ${speed('larder_disk_written_bytes_total')}`,
    `process    ${processor.toFixed(0)} % of a core, ${bytes(figures.value('process_resident_memory_bytes'))}; event loop late by ${late.toFixed(1)} ms (99 %)`,
  ]
}

function bridges(figures: Difference): string[] {
  const { now, before } = figures
  return now.status.bridges.slice(0, MAX_BRIDGES).map(({ name, connected, waiting, oldest = 0, sent }) => {
    const earlier = before?.status.bridges.find(each => each.name === name)?.sent ?? 0
    const age = oldest < 1_000 ? '' : ` (the oldest for ${span(Math.round(oldest / 1000) * 1000)})`
    const state = connected ? 'connected' : 'NOT CONNECTED'
    return `bridge     ${name}: ${state}, ${count(waiting)} wait${age}, ${perSecond(figures.perSecond(sent, earlier))} sent`
  })
}

function devices({ devices: all }: Status): string[] {
  if (all.length === 0) return []
  const unwell = all.filter(({ state }) => state !== 'online')
  const named = unwell.slice(0, MAX_DEVICES).map(({ room, name, state }) => `${room}/${name} ${state}`)
  const more = unwell.length > MAX_DEVICES ? [`and ${unwell.length - MAX_DEVICES} more`] : []
  const line = `devices    ${all.length - unwell.length} of ${all.length} online`
  return [unwell.length === 0 ? line : `${line}: ${[...named, ...more].join(', ')}`]
}

/** The busiest first: those who send and get most now, then those for whom most waits. */
function clientRows(figures: Difference, room: number): string[] {
  const { now, before } = figures
  if (now.clients.length === 0 || room < 2) return []
  const earlier = new Map(before?.clients.map(client => [client.id, client]))
  const rows = now.clients.map(client => {
    const { id, connected, received, sent, waiting, waitingBytes } = client
    const old = earlier.get(id)
    // Counted from each connection's beginning.
    const isSame = old !== undefined && old.received <= received && old.sent <= sent
    const rateIn = figures.perSecond(received, isSame ? old.received : 0)
    const rateOut = figures.perSecond(sent, isSame ? old.sent : 0)
    return { id, connected, rateIn, rateOut, waiting, waitingBytes }
  })
  rows.sort((a, b) => b.rateIn + b.rateOut - a.rateIn - a.rateOut || b.waiting - a.waiting)
  const cells = rows
    .slice(0, room - 1)
    .map(({ id, connected, rateIn, rateOut, waiting, waitingBytes }) =>
      row(
        perSecond(rateIn),
        perSecond(rateOut),
        waiting === 0 ? '' : `${count(waiting)} (${bytes(waitingBytes)})`,
        `${id}${connected ? '' : ' (away)'}`,
      ),
    )
  return [row('in', 'out', 'waiting', 'client'), ...cells]
}

const row = (received: string, sent: string, waiting: string, id: string) =>
  `${received.padStart(9)} ${sent.padStart(9)} ${waiting.padStart(18)}  ${id}`

const perSecond = (rate: number) => `${rate >= 10 || rate === 0 ? count(Math.round(rate)) : rate.toFixed(1)}/s`

/** Names are the owner's or a client's, and a terminal obeys what it is sent. */
function shown(line: string, columns: number): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
  return line.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?').slice(0, columns)
}
