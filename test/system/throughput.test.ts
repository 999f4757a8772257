/**
 * `scripts/bench` in a short form. That it measures, and that neither broker loses a message under its load,
 * is asserted; how fast they are is told and not judged, because other work on the machine decides it too.
 */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ROOT } from '../support/gateway.ts'
import { needs } from '../support/needs.ts'
import { run } from '../support/process.ts'

const MESSAGES = 100_000
const ROUNDS = 2

interface Report {
  summaries: { broker: string; rate: number; processor: number; delivered: number; lost: number }[]
  ratios?: { rate: number; processor: number }
}

describe.skipIf(!needs('mosquitto') || !needs('taskset'))('scripts/bench', () => {
  test('measures both brokers, and both deliver everything', { timeout: 120_000 }, async () => {
    const args = ['--json', '--messages', String(MESSAGES), '--rounds', String(ROUNDS)]
    const result = await run(join(ROOT, 'scripts/bench'), args, { cwd: ROOT, timeout: 110_000 })
    expect(result.code, result.errors.join('\n')).toBe(0)
    const { summaries, ratios } = JSON.parse(result.lines.join('\n')) as Report
    expect(summaries.map(({ broker, delivered, lost }) => ({ broker, delivered, lost }))).toEqual(
      ['larder', 'mosquitto'].map(broker => ({ broker, delivered: MESSAGES * ROUNDS, lost: 0 })),
    )
    for (const { broker, rate, processor } of summaries) {
      console.log(`${broker}: ${Math.round(rate)} messages/s, ${processor.toFixed(2)} processor seconds a million`)
      expect(rate).toBeGreaterThan(0)
    }
    console.log(
      `larder : mosquitto = ${ratios?.rate.toFixed(2)} in messages, ${ratios?.processor.toFixed(2)} in processor time`,
    )
  })

  test('refuses a flag that it does not know or understand', async () => {
    for (const args of [
      ['--message', '5'],
      ['--rounds', 'many'],
    ]) {
      const result = await run(join(ROOT, 'scripts/bench'), args, { cwd: ROOT, timeout: 60_000 })
      expect(result.code).not.toBe(0)
      expect(result.errors.length).toBeGreaterThan(0)
    }
  })
})
