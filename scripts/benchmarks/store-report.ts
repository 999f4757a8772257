/** What `scripts/bench store` prints: a table for each case, the long queue, and the targets. */
import { count, median, row } from './command-line.ts'
import { CASES, DRAIN, type Many, type Measurement } from './store.ts'

export interface StoreSummary {
  broker: string
  case: string
  /** Medians over the rounds. */
  messages: number
  rate: number
  processor: number
  storage: number
  written: number
  disk: number
  generator: number
  /** Of all rounds. */
  missing: number
  /** Larder's rate in units of this broker's. */
  ratio: number
}

export interface Target {
  what: string
  /** What there is, and what is wanted. */
  found: string
  wanted: string
  met: boolean
}

const OURS = 'larder'
/** The faster of the two counts. */
const NOT_DURABLE = ['mosquitto-ram', 'mosquitto-nodelay']
const STOCK = 'aedes-level'

const DRAIN_FACTOR = 30
const ONLINE_BYTES = 5
const MANY_MEGABYTES = 250
/** Part of its core from which on the generator may be what limits a rate. */
const BUSY = 0.85

const FIGURES = ['messages', 'rate', 'processor', 'storage', 'written', 'disk', 'generator'] as const

/** The medians of each case, in the order of the measurements. */
export function summarise(measurements: readonly Measurement[]): StoreSummary[] {
  const groups = new Map<string, Measurement[]>()
  for (const each of measurements) {
    const key = `${each.case} ${each.broker}`
    groups.set(key, [...(groups.get(key) ?? []), each])
  }
  const summaries = [...groups.values()].map(group => {
    const medians = Object.fromEntries(FIGURES.map(figure => [figure, median(group.map(each => each[figure]))]))
    const missing = group.reduce((sum, each) => sum + each.missing, 0)
    const { broker = '', case: kind = '' } = group[0] ?? {}
    return { broker, case: kind, ...(medians as Record<(typeof FIGURES)[number], number>), missing, ratio: Number.NaN }
  })
  for (const each of summaries) each.ratio = (find(summaries, each.case, OURS)?.rate ?? Number.NaN) / each.rate
  return summaries
}

/** What the issue asks for, as far as it was measured. */
export function targets(summaries: readonly StoreSummary[], many: readonly Many[], queued: number): Target[] {
  const found: Target[] = []
  for (const kind of ['away', 'away-20']) {
    const ours = find(summaries, kind, OURS)
    const theirs = NOT_DURABLE.flatMap(name => find(summaries, kind, name)?.rate ?? [])
    if (ours === undefined || theirs.length === 0) continue
    const best = Math.max(...theirs)
    const { window } = CASES.find(each => each.name === kind) ?? { window: 0 }
    found.push({
      what: `durable enqueue, ${count(window)} in flight, at least what Mosquitto does in RAM`,
      found: `${count(ours.rate)}/s`,
      wanted: `${count(best)}/s`,
      met: ours.rate >= best,
    })
  }
  const drain = find(summaries, DRAIN, STOCK)
  if (drain !== undefined) {
    const factor = drain.ratio
    const what = `drain, in units of stock aedes' with level`
    found.push({ what, found: factor.toFixed(1), wanted: `${DRAIN_FACTOR}`, met: factor >= DRAIN_FACTOR })
  }
  const online = find(summaries, 'online', OURS)
  if (online !== undefined) {
    const { storage } = online
    const what = 'bytes to storage a message with the subscriber there'
    found.push({ what, found: storage.toFixed(2), wanted: `under ${ONLINE_BYTES}`, met: storage < ONLINE_BYTES })
  }
  const ours = many.find(each => each.broker === OURS)
  if (ours !== undefined) {
    const megabytes = ours.resident / 1e6
    found.push({
      what: `MB resident with ${count(queued)} messages that wait`,
      found: megabytes.toFixed(0),
      wanted: `under ${MANY_MEGABYTES}`,
      met: megabytes < MANY_MEGABYTES && ours.messages === queued,
    })
  }
  return found
}

const CASE_WIDTHS = [18, 10, 12, 10, 12, 12, 12, 12, 11, 10]

export function tellCases(summaries: readonly StoreSummary[]): string {
  const titles = CASES.flatMap(({ name, title, window, drains }) => [
    { name, title: `${title}; ${count(window)} in flight` },
    ...(drains ? [{ name: DRAIN, title: 'the session comes back and acknowledges what it gets' }] : []),
  ])
  const head = [
    '',
    'messages',
    'a second',
    'larder ×',
    'µs CPU',
    'storage B',
    'write() B',
    'on disk B',
    'generator',
    'missing',
  ]
  return titles
    .flatMap(({ name, title }) => [
      '',
      title,
      row(CASE_WIDTHS, head),
      ...summaries.filter(each => each.case === name).map(tellCase),
    ])
    .join('\n')
}

function tellCase(each: StoreSummary): string {
  const busy = each.generator > BUSY ? ' !' : ''
  return row(CASE_WIDTHS, [
    each.broker,
    count(each.messages),
    count(each.rate),
    each.ratio.toFixed(2),
    each.processor.toFixed(1),
    each.storage.toFixed(1),
    each.written.toFixed(0),
    each.case === DRAIN ? '' : each.disk.toFixed(0),
    `${busy}${(each.generator * 100).toFixed(0)} %`,
    count(each.missing),
  ])
}

const MANY_WIDTHS = [18, 12, 10, 10, 12, 10, 10, 12, 14, 10, 10]

export function tellMany(all: readonly Many[]): string {
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0)
  const head = [
    '',
    'messages',
    'RSS MB',
    'peak MB',
    'on disk MB',
    'stop s',
    'start s',
    'first ms',
    'drained/s',
    'peak MB',
    'missing',
  ]
  const rows = all.map(({ broker, messages, resident, peak, disk, restart }) =>
    row(MANY_WIDTHS, [
      broker,
      count(messages),
      megabytes(resident),
      megabytes(peak),
      megabytes(disk),
      ...(restart === undefined
        ? ['  lost by a restart']
        : [
            restart.stop.toFixed(2),
            restart.ready.toFixed(2),
            (restart.first * 1_000).toFixed(1),
            count(restart.rate),
            megabytes(restart.peak),
            count(restart.missing),
          ]),
    ]),
  )
  return ['', 'a long queue; then a restart, and the session comes back', row(MANY_WIDTHS, head), ...rows].join('\n')
}

export function tellTargets(all: readonly Target[]): string {
  const rows = all.map(({ what, found, wanted, met }) => `${met ? '✓' : '✗'} ${what}: ${found} (${wanted})`)
  return ['', ...rows].join('\n')
}

function find(summaries: readonly StoreSummary[], kind: string, broker: string): StoreSummary | undefined {
  return summaries.find(each => each.case === kind && each.broker === broker)
}
