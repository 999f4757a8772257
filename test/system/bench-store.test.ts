/**
 * `scripts/bench store` in a short form. That it measures every broker in every case, and that Larder and Mosquitto lose
 * nothing under its load, is asserted; the figures and the targets are told and not judged.
 */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Many, Measurement } from '../../scripts/benchmarks/store.ts'
import {
  type StoreSummary,
  type Target,
  tellCases,
  tellMany,
  tellTargets,
} from '../../scripts/benchmarks/store-report.ts'
import { ROOT } from '../support/gateway.ts'
import { needs } from '../support/needs.ts'
import { run } from '../support/process.ts'

const MESSAGES = 500
const QUEUED = 5_000
const CASES = ['away', 'away-20', 'drain', 'online', 'ten-away']
const BROKERS = ['aedes-level', 'larder', 'mosquitto-each', 'mosquitto-nodelay', 'mosquitto-ram', 'mosquitto-saved']
/** Stock aedes loses messages at times, which is not ours to forbid. */
const STOCK = 'aedes-level'

interface Report {
  measurements: Measurement[]
  summaries: StoreSummary[]
  many: Many[]
  targets: Target[]
}

const bench = (...args: string[]) =>
  run(join(ROOT, 'scripts/bench'), ['store', ...args], { cwd: ROOT, timeout: 280_000 })

describe.skipIf(!needs('mosquitto') || !needs('taskset'))('scripts/bench store', () => {
  test('measures all brokers in all cases', { timeout: 300_000 }, async () => {
    const numbers = ['--messages', String(MESSAGES), '--rounds', '1', '--queued', String(QUEUED)]
    const result = await bench('--json', ...numbers)
    expect(result.code, result.errors.join('\n')).toBe(0)
    const { measurements, summaries, many, targets } = JSON.parse(result.lines.join('\n')) as Report

    const measured = measurements.map(({ broker, case: kind }) => `${kind} ${broker}`)
    expect(measured.toSorted()).toEqual(CASES.flatMap(kind => BROKERS.map(broker => `${kind} ${broker}`)))
    for (const each of measurements) {
      expect(each.rate).toBeGreaterThan(0)
      if (each.broker !== STOCK) expect(each.missing, `${each.broker}, ${each.case}`).toBe(0)
    }
    // What waits for somebody who is away is on the disk; that is what the columns are about.
    const durable = measurements.find(({ broker, case: kind }) => broker === 'larder' && kind === 'away')
    expect(durable?.storage).toBeGreaterThan(0)

    expect(many.map(({ broker }) => broker).toSorted()).toEqual(BROKERS.filter(each => !/each|nodelay/.test(each)))
    for (const { broker, messages, resident, restart } of many) {
      expect(messages).toBe(QUEUED)
      expect(resident).toBeGreaterThan(1e6)
      if (broker === 'mosquitto-ram') expect(restart).toBeUndefined()
      else if (broker !== STOCK) expect(restart?.missing).toBe(0)
    }
    expect(targets).toHaveLength(5)

    const told = [tellCases(summaries), tellMany(many), tellTargets(targets)].join('\n')
    console.log(told)
    expect(told).not.toMatch(/NaN|undefined|Infinity/)
  })

  test('refuses a flag that it does not know or understand', async () => {
    for (const args of [
      ['--message', '5'],
      ['--queued', 'many'],
    ]) {
      const result = await bench(...args)
      expect(result.code).not.toBe(0)
      expect(result.errors.length).toBeGreaterThan(0)
    }
  })
})
