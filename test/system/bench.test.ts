/**
 * `scripts/bench` in a short form. That it measures every scenario, and that Larder and Mosquitto lose nothing and mix
 * up nothing under its load, is asserted; the figures are told and not judged, because other work on the machine
 * decides them too.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Cell } from '../../scripts/benchmarks/comparison.ts'
import { SCENARIOS } from '../../scripts/benchmarks/scenarios.ts'
import { ROOT } from '../support/gateway.ts'
import { needs } from '../support/needs.ts'
import { run } from '../support/process.ts'

/** Stock aedes loses messages at times, which is not ours to forbid. */
const STOCK = 'aedes'

const bench = (...args: string[]) => run(join(ROOT, 'scripts/bench'), args, { cwd: ROOT, timeout: 230_000 })

describe.skipIf(!needs('mosquitto') || !needs('taskset') || !needs('gcc'))('scripts/bench', () => {
  test('measures all brokers in all scenarios, and draws a chart', { timeout: 240_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'larder-bench-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const [json, svg] = [join(folder, 'bench.json'), join(folder, 'bench.svg')]
    const result = await bench('--percent', '1', '--rounds', '1', '--json', json, '--chart', svg)
    expect(result.code, result.errors.join('\n')).toBe(0)
    console.log(result.lines.join('\n'))
    const { cells } = JSON.parse(await readFile(json, 'utf8')) as { cells: Cell[] }
    for (const broker of ['larder', 'mosquitto']) {
      const own = cells.filter(cell => cell.broker === broker)
      expect(own.map(({ scenario }) => scenario)).toEqual(SCENARIOS.map(({ name }) => name))
    }
    for (const { broker, scenario, figure, fault } of cells.filter(cell => cell.broker !== STOCK)) {
      expect({ broker, scenario, fault }).toEqual({ broker, scenario, fault: undefined })
      expect({ broker, scenario, lost: figure?.lost, misordered: figure?.misordered }).toEqual({
        broker,
        scenario,
        lost: 0,
        misordered: 0,
      })
      expect(figure?.value, `${broker}: ${scenario}`).toBeGreaterThanOrEqual(0)
    }
    expect(await readFile(svg, 'utf8')).toContain('1 to 1, QoS 0')
  })

  test('refuses a flag that it does not know or understand', async () => {
    for (const args of [['--message', '5'], ['--rounds', 'many'], ['--only', 'no such scenario'], ['nanomq=here']]) {
      const result = await bench(...args)
      expect(result.code, args.join(' ')).not.toBe(0)
      expect(result.errors.length).toBeGreaterThan(0)
    }
  })
})
