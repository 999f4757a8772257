/**
 * Turns the tables of a standard into tests: one for each case, one that no statement is left out, and a
 * line at the end that says how many are shown.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { REFERENCE } from '../../support/broker.ts'
import { type ConformanceBroker, obstacle, startBroker } from './brokers.ts'
import { gaps, isCase, readClauses } from './clauses.ts'
import type { Case, Standard } from './format.ts'
import { runCase } from './run.ts'

let cases = 0

/** Six letters and digits that no other case has, in this run or (a broker may keep its data) in one before. */
function nextPrefix(): string {
  const run = (Date.now() % 46_656).toString(36).padStart(3, '0')
  return `${run}${(++cases).toString(36).padStart(3, '0')}`
}

export function conformance(standard: Standard): void {
  const { name, version, chapters } = standard
  const clauses = readClauses(standard.clauses)
  const passed = new Set<Case>()
  const skipped = new Map<string, string[]>()
  let shared: ConformanceBroker | undefined

  beforeAll(async () => {
    shared = await startBroker()
  })
  afterAll(async () => {
    await shared?.stop()
    process.stdout.write(summary())
  })

  it(`${name}: no statement is left out`, () => {
    expect(gaps(standard)).toEqual([])
  })

  for (const [chapter, rows] of Object.entries(chapters)) {
    if (!rows.some(isCase)) continue
    describe(`${name} ${chapter}`, () => {
      for (const row of rows.filter(isCase)) {
        const title = `${row.title} [${row.clause.join(', ')}]`
        const reason = obstacle(row)
        if (reason !== undefined) {
          skipped.set(reason, [...(skipped.get(reason) ?? []), title])
          // Only against a broker that is not ours, which cannot be set up as the case needs: against the gateway, none is left out.
          // The reason is printed beside the case, and once more in the summary.
          it(title, context => context.skip(reason))
          continue
        }
        const fails = REFERENCE && row.mosquittoDiffers !== undefined
        const test = fails ? it.concurrent.fails : it.concurrent
        test(title, async () => {
          await play(row)
          passed.add(row)
        })
      }
    })
  }

  async function play(row: Case): Promise<void> {
    const own = row.broker === undefined ? undefined : await startBroker(row.broker === 'own' ? {} : row.broker)
    const broker = own ?? shared
    if (broker === undefined) throw new Error('the shared broker did not start')
    try {
      await runCase(row, { broker, version, prefix: nextPrefix() })
    } finally {
      await own?.stop()
    }
  }

  function summary(): string {
    const shown = [...clauses.keys()].filter(id => {
      const about = Object.values(chapters)
        .flat()
        .filter(isCase)
        .filter(row => row.clause.includes(id))
      return about.length > 0 && about.every(row => passed.has(row))
    })
    const hidden = [...clauses.values()].filter(clause => !clause.observable)
    const counts = [
      `${clauses.size} statements`,
      `${shown.length} shown by ${passed.size} cases`,
      `${hidden.length} cannot be observed`,
      ...[...skipped].map(([reason, titles]) => `${titles.length} cases skipped because ${reason}`),
    ]
    return `${name}: ${counts.join(', ')}\n`
  }
}
