/**
 * The rounds of `scripts/bench`: every scenario on every broker by turns (A B A B), so that whatever else the machine does
 * meets them alike. The median of the rounds counts.
 */
import { median } from './command-line.ts'
import { type Contestant, type Running, startUpstream } from './contestants.ts'
import type { Figure, Scenario } from './scenarios.ts'

export interface Cell {
  readonly broker: string
  readonly scenario: string
  /** Medians; absent when it could not be measured. */
  readonly figure?: Figure
  readonly rounds: readonly Figure[]
  /** Why a round could not be measured. */
  readonly fault?: string
}

/** What `--json` writes. */
export interface Report {
  /** Of the day, as 2026-01-31. */
  readonly date: string
  readonly machine: string
  readonly brokers: readonly { readonly name: string; readonly about: string }[]
  readonly rounds: number
  /** Of the whole load. */
  readonly percent: number
  readonly cells: readonly Cell[]
}

export interface ComparisonOptions {
  readonly brokers: readonly Contestant[]
  readonly scenarios: readonly Scenario[]
  readonly rounds: number
  /** Part of the whole load. */
  readonly size: number
  /** Told of each scenario when all have been measured at it: of those cells, and of all so far. */
  tell(scenario: Scenario, cells: readonly Cell[], all: readonly Cell[]): void
}

export async function compare(options: ComparisonOptions): Promise<Cell[]> {
  const standing = new Map<string, Running>()
  try {
    for (const broker of options.brokers) standing.set(broker.name, await broker.start({ hasAll: true }))
    return await takeTurns(options, standing)
  } finally {
    for (const running of standing.values()) await running[Symbol.asyncDispose]()
  }
}

async function takeTurns(
  { brokers, scenarios, rounds, size, tell }: ComparisonOptions,
  standing: ReadonlyMap<string, Running>,
): Promise<Cell[]> {
  const all: Cell[] = []
  for (const scenario of scenarios) {
    const able = brokers.filter(broker => canDo(broker, scenario))
    const figures = new Map(able.map(({ name }) => [name, [] as Figure[]]))
    const faults = new Map<string, string>()
    for (let round = 0; round < rounds; round++) {
      for (const broker of able) {
        try {
          figures.get(broker.name)?.push(await measure(broker, standing, scenario, size))
        } catch (error) {
          faults.set(broker.name, String((error as Error).message))
        }
      }
    }
    const cells = able.map(({ name }): Cell => {
      const measured = figures.get(name) ?? []
      const fault = faults.get(name)
      return {
        broker: name,
        scenario: scenario.name,
        ...(measured.length === 0 ? {} : { figure: summarise(measured) }),
        rounds: measured,
        ...(fault === undefined ? {} : { fault }),
      }
    })
    all.push(...cells)
    tell(scenario, cells, all)
  }
  return all
}

function canDo(broker: Contestant, { transport = 'tcp', is5 = false, isBridge = false }: Scenario): boolean {
  return broker.transports.includes(transport) && (broker.speaks5 || !is5) && (broker.bridges || !isBridge)
}

async function measure(
  broker: Contestant,
  standing: ReadonlyMap<string, Running>,
  scenario: Scenario,
  size: number,
): Promise<Figure> {
  if (scenario.isBridge) {
    await using upstream = await startUpstream()
    if (upstream === undefined) throw new Error('the upstream is a mosquitto, which is not installed')
    await using running = await broker.start({ upstream: upstream.port })
    return await scenario.measure(running, size, upstream.port)
  }
  if (scenario.fresh !== true) return scenario.measure(standing.get(broker.name) as Running, size)
  await using running = await broker.start({})
  return await scenario.measure(running, size)
}

/** Medians; of what was lost, the sum. */
function summarise(figures: readonly Figure[]): Figure {
  const [first] = figures as [Figure]
  const keys = Object.keys(first) as (keyof Figure)[]
  const entries = keys.map(key => {
    if (key === 'unit') return [key, first.unit]
    const values = figures.map(figure => figure[key] ?? Number.NaN)
    return [key, key === 'lost' || key === 'misordered' ? values.reduce((a, b) => a + b) : median(values)]
  })
  return Object.fromEntries(entries)
}
