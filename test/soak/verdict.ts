/**
 * Whether a run was flat. The first quarter warms up (code is compiled, caches fill up to their bounds); then the medians
 * of the second and the last quarter are compared, because single samples carry garbage not collected yet and tables
 * not compacted yet. What grows steadily grows by two thirds of its start between the two; what is flat, by nothing.
 */

/** One second of the run. Bytes, ms, and seconds of processor a second. */
export interface Sample {
  /** Seconds from the start. */
  at: number
  resident: number
  heap: number
  external: number
  /** Sockets, pipes and everything else that is open, without the files of the store. */
  handles: number
  /** Open files of the store: LevelDB keeps its tables open. */
  tables: number
  store: number
  processor: number
  /** Seconds a second for which the gateway could have run, and the machine did something else. */
  waited: number
  pingMedian: number
  pingHigh: number
  /** By how much the pinger's own timers came late. */
  late: number
}

/** A heap without garbage. */
export interface Live {
  at: number
  heap: number
}

/** At the end, when everybody has gone and nothing waits any more, against the moment before anybody came. */
export interface Remains {
  handles: { before: number; after: number }
  /** Bytes of the store, compacted. */
  store: { before: number; after: number }
  /** Records of the store, by family. */
  records: { before: Readonly<Record<string, number>>; after: Readonly<Record<string, number>> }
}

export interface Bounds {
  /** Growth of resident memory, of handles and of the store, as a part. */
  memory: number
  /** Growth of the heap without its garbage, as a part. */
  live: number
  /** Growth of the 99th percentile of pings, and of processor time, as a part. */
  delay: number
  /** Milliseconds by which pings may be later on top of that. */
  pingMs: number
}

/**
 * Ten percent of what is resident, as V8 takes and gives back more than that for reasons of its own. The middles of the
 * two quarters of ten minutes are half an hour of a home apart, so a leak that hides below fills a small Pi in two days;
 * such a one is for the heap without its garbage to show, which differs by one percent from run to run.
 */
export const LONG_BOUNDS: Bounds = { memory: 0.1, live: 0.03, delay: 0.5, pingMs: 3 }
/** A quarter of 45 s is over before V8 has settled on the size of its heap, and a disturbance weighs more. */
export const SHORT_BOUNDS: Bounds = { memory: 0.25, live: 0.1, delay: 1, pingMs: 10 }

const MB = 1e6
/** What may come on top of a part of something small. */
const SLACK = {
  /** V8 takes and gives back its heap by pages, and the allocator its arenas. */
  resident: 4 * MB,
  /** Whoever is there when garbage is collected. */
  live: 0.5 * MB,
  /** Visitors that are there by chance. */
  handles: 6,
  /** LevelDB's level 0 has up to twelve tables, and two logs. */
  tables: 14,
  /** Two logs of LevelDB and the tables that wait for their compaction. */
  store: 8 * MB,
  processor: 0.03,
}
/**
 * Pings also tell what the machine did to the gateway. Only calm seconds are judged by them: those in which it and the
 * pinger got the processor nearly whenever they wanted…
 */
const CALM = { waited: 0.1, lateMs: 10 }
/** …if there are so many in both quarters; else this machine has no time to tell. */
const MIN_CALM = 3
/** The store is back near its start: the names of its files, its manifest and its log differ in length. */
const STORE_REMAINS = 64 * 1024

export interface Trend {
  name: string
  /** Medians; NaN where nothing could be told. */
  second: number
  last: number
  /** What the last may be. */
  bound: number
  flat: boolean
}

/** The trends of everything that was sampled. */
export function trends(samples: readonly Sample[], lives: readonly Live[], bounds: Bounds): Trend[] {
  const end = samples.at(-1)?.at ?? 0
  const quarters = <T extends { at: number }>(all: readonly T[]) => ({
    second: all.filter(({ at }) => at > end * 0.25 && at <= end * 0.5),
    last: all.filter(({ at }) => at > end * 0.75),
  })
  const trend = <T extends { at: number }>(
    name: string,
    all: readonly T[],
    of: (each: T) => number,
    growth: number,
    slack: number,
  ): Trend => {
    const { second, last } = quarters(all)
    const [from, to] = [median(second.map(of)), median(last.map(of))]
    const bound = from * (1 + growth) + slack
    return { name, second: from, last: to, bound, flat: to <= bound }
  }
  const isCalm = ({ waited, late }: Sample) => waited <= CALM.waited && late <= CALM.lateMs
  const calm = samples.filter(isCalm)
  const { second, last } = quarters(calm)
  const pings = trend('ping, 99 %', calm, each => each.pingHigh, bounds.delay, bounds.pingMs)
  const isBusy = samples.length > 0 && Math.min(second.length, last.length) < MIN_CALM
  return [
    trend('resident memory', samples, each => each.resident, bounds.memory, SLACK.resident),
    trend('heap without garbage', lives, each => each.heap, bounds.live, SLACK.live),
    trend('open handles', samples, each => each.handles, bounds.memory, SLACK.handles),
    trend('open tables', samples, each => each.tables, bounds.memory, SLACK.tables),
    trend('size of the store', samples, each => each.store, bounds.memory, SLACK.store),
    isBusy ? { ...pings, second: Number.NaN, last: Number.NaN, bound: Number.NaN, flat: true } : pings,
    trend('processor', samples, each => each.processor, bounds.delay, SLACK.processor),
  ]
}

/** What is wrong, as sentences; empty when all is flat. */
export function faults(run: { trends: readonly Trend[]; remains: Remains; unexpected: readonly string[] }): string[] {
  const { handles, store, records } = run.remains
  const found = run.trends
    .filter(({ flat }) => !flat)
    .map(({ name, second, last, bound }) => `${name} is not flat: ${second} to ${last}, at most ${bound}`)
  if (handles.after > handles.before)
    found.push(`${handles.after} handles are open when everybody has gone; ${handles.before} were before anybody came`)
  if (store.after > store.before + STORE_REMAINS)
    found.push(`the store has ${store.after} bytes when it is drained and compacted; it had ${store.before}`)
  for (const family of new Set([...Object.keys(records.before), ...Object.keys(records.after)])) {
    const before = records.before[family] ?? 0
    const after = records.after[family] ?? 0
    if (after > before) found.push(`${after} records of family '${family}' are left; ${before} were there before`)
  }
  return [...found, ...run.unexpected.map(line => `unexpected in the log: ${line}`)]
}

/** NaN of nothing, which is not flat. */
function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}
