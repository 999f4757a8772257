/** What `larder status` shows: one screen for a person, or everything as one document for a program. */
import { METRICS } from './metrics.ts'
import type { Figures } from './ports.ts'

/** Devices and bridges that are named; the rest is counted. A screen has some 40 lines. */
const MAX_NAMED = 12

/** Everything that the table of metrics has, by its names, with what it has no numbers for. */
export function statusDocument(figures: Figures): object {
  const { version, troubles, uptime, bridges, devices } = figures
  const metrics = Object.entries(METRICS).map(([name, metric]) => [name, metric.read(figures)])
  return {
    version,
    ok: troubles.length === 0,
    troubles,
    uptime: uptime / 1000,
    bridges,
    devices: devices.map(({ room, name, state }) => ({ room, name, state })),
    metrics: Object.fromEntries(metrics),
  }
}

export function statusLines(figures: Figures): string[] {
  const { version, uptime, troubles, clients, subscriptions, connections, traffic, queues, process } = figures
  const dropped = traffic.dropped + queues.dropped
  const rows: (readonly [string, string])[] = [
    ['larder', `${version}, up ${span(uptime)}`],
    ['health', troubles.length === 0 ? 'ok' : troubles.join('; ')],
    [
      'clients',
      `${count(clients.connected)} connected (most ${count(clients.most)}), ${count(clients.disconnected)} away; ${count(connections.open)} connections`,
    ],
    ['subscriptions', `${count(subscriptions.plain)}, and ${count(subscriptions.shared)} shared`],
    ['received', `${count(traffic.received)} messages, ${bytes(traffic.bytesReceived)}`],
    ['sent', `${count(traffic.sent)} messages, ${bytes(traffic.bytesSent)}`],
    [
      'lost',
      `${count(dropped)} dropped, ${count(traffic.expired + queues.expired)} expired, ${count(queues.refused)} refused`,
    ],
    ['retained', `${count(queues.retained)} messages, ${bytes(queues.retainedBytes)}`],
    ['waiting', `${count(queues.messages)} messages, ${bytes(queues.bytes)}${age(queues.oldest)}`],
    ...storeRows(figures),
    ['memory', `${bytes(process.resident)}; event loop late by ${process.loop.p99.toFixed(1)} ms (99 %)`],
    ...bridgeRows(figures),
    ...deviceRows(figures),
  ]
  const width = Math.max(...rows.map(([label]) => label.length))
  // Names are the owner's, and a terminal obeys what it is sent.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
  return rows.map(([label, text]) => `${label.padEnd(width)}  ${text}`.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?'))
}

function storeRows({ store, process, traffic }: Figures): [string, string][] {
  const { diskWritten } = process
  const written: [string, string][] =
    diskWritten === undefined
      ? []
      : [
          [
            'card',
            `${bytes(diskWritten)} written${traffic.received === 0 ? '' : `, ${bytes(diskWritten / traffic.received)} a message`}`,
          ],
        ]
  if (store === undefined) return written
  const { commits, elided, latency, failures, lossWindow } = store
  const mean = latency.count === 0 ? '' : `, ${(latency.sum / latency.count).toFixed(1)} ms each`
  return [
    [
      'store',
      `${count(commits)} commits${mean}; ${count(elided)} messages never had to be written; ${count(failures)} failures`,
    ],
    ['loss window', lossWindow === 0 ? 'none: what was acknowledged is on the disk' : lossOf(lossWindow)],
    ...written,
  ]
}

function lossOf(window: number): string {
  return window === Number.POSITIVE_INFINITY ? 'unlimited' : `up to ${span(window)} of what was acknowledged`
}

function bridgeRows({ bridges, startedAt, uptime }: Figures): [string, string][] {
  return some(bridges, ({ name, connected, paused, waiting, oldest, sent, rateOut, dead, drain }) => {
    const state = paused ? 'paused' : connected ? 'connected' : 'not connected'
    const rate = rateOut < 0.1 ? '' : ` (${rateOut.toFixed(1)}/s)`
    const aside = dead === 0 ? '' : `, ${count(dead)} set aside`
    return [
      `bridge ${name}`,
      `${state}, ${count(waiting)} wait${age(oldest)}, ${count(sent)} sent${rate}${aside}${progress(drain, startedAt + uptime)}`,
    ]
  })
}

/** `now` in wall time. */
function progress(drain: Figures['bridges'][number]['drain'], now: number): string {
  if (drain === undefined) return ''
  const left =
    drain.endsAt === undefined ? '' : `, some ${span(Math.max(0, Math.round((drain.endsAt - now) / 1000) * 1000))} left`
  return `; backlog ${Math.floor((drain.done / Math.max(1, drain.of)) * 100)} % done${left}`
}

/** Those that are well are only counted. */
function deviceRows({ devices }: Figures): [string, string][] {
  if (devices.length === 0) return []
  const unwell = devices.filter(({ state }) => state !== 'online')
  const online = devices.length - unwell.length
  return [
    ['devices', `${online} of ${devices.length} online`],
    ...some(unwell, ({ room, name, state }) => ['', `${room}/${name}: ${state}`]),
  ]
}

function some<T>(items: readonly T[], row: (item: T) => [string, string]): [string, string][] {
  const rows = items.slice(0, MAX_NAMED).map(row)
  return items.length > MAX_NAMED ? [...rows, ['', `and ${items.length - MAX_NAMED} more`]] : rows
}

function age(oldest: number | undefined): string {
  return oldest === undefined || oldest < 1_000 ? '' : ` (the oldest for ${span(Math.round(oldest / 1000) * 1000)})`
}

function count(number: number): string {
  return number.toLocaleString('en')
}

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

function bytes(number: number): string {
  let size = number
  let unit = 0
  for (; size >= 1024 && unit < SIZES.length - 1; unit++) size /= 1024
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${SIZES[unit]}`
}

/** `3 d 4 h`, `5 min`, `2.5 s`: two units are enough. */
function span(milliseconds: number): string {
  const seconds = milliseconds / 1000
  if (seconds < 60) return `${Number.isInteger(seconds) ? seconds : seconds.toFixed(1)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return hours < 24 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}
