/**
 * `scripts/bench` in a short form. That it measures every scenario, and that Larder and Mosquitto lose nothing and mix
 * up nothing under its load, is asserted; the figures are told and not judged, because other work on the machine
 * decides them too.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Cell } from '../../scripts/benchmarks/comparison.ts'
import { SCENARIOS } from '../../scripts/benchmarks/scenarios.ts'
import { ROOT } from '../support/gateway.ts'
import { needs } from '../support/needs.ts'
import { Process, run } from '../support/process.ts'
import { until } from '../support/wait.ts'

/** Stock aedes loses messages at times, which is not ours to forbid. */
const STOCK = 'aedes'

interface Descendant {
  readonly pid: number
  readonly command: string
}

/** Processes that `pid` has started, and what they have started. A process that ends meanwhile is left out. */
async function descendants(pid: number): Promise<Descendant[]> {
  const read = (file: string) => readFile(file, 'utf8').catch(() => '')
  const children = (await read(`/proc/${pid}/task/${pid}/children`)).split(' ').filter(Boolean).map(Number)
  const below = await Promise.all(
    children.map(async child => {
      const command = (await read(`/proc/${child}/cmdline`)).replaceAll('\0', ' ')
      return [{ pid: child, command }, ...(await descendants(child))]
    }),
  )
  return below.flat()
}

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
      expect({ broker, scenario, lost: figure?.lost ?? 0, misordered: figure?.misordered ?? 0 }).toEqual({
        broker,
        scenario,
        lost: 0,
        misordered: 0,
      })
      expect(figure?.value, `${broker}: ${scenario}`).toBeGreaterThanOrEqual(0)
    }
    expect(await readFile(svg, 'utf8')).toContain('1 to 1, QoS 0')
  })

  test('leaves nothing behind when it is ended', { timeout: 120_000 }, async () => {
    await using child = new Process(join(ROOT, 'scripts/bench'), ['--only', '10,000 clients'], { cwd: ROOT })
    // All brokers, and a generator that holds connections for ever.
    const holds = ({ command }: Descendant) => command.includes('generator hold')
    const all = await until(
      async () => {
        const found = await descendants(child.pid)
        return found.some(holds) ? found : undefined
      },
      { timeout: 60_000, what: () => `a generator that holds connections\n${child.transcript()}` },
    )
    const folders = all.flatMap(({ command }) => /\/var\/tmp\/larder-bench-\w+/.exec(command)?.[0] ?? [])
    expect(folders.length).toBeGreaterThanOrEqual(2)
    await child.kill('SIGTERM')
    await until(() => all.every(({ pid }) => !existsSync(`/proc/${pid}`)), { what: 'the end of all' })
    expect(folders.filter(folder => existsSync(folder))).toEqual([])
  })

  test('refuses a flag that it does not know or understand', async () => {
    for (const args of [['--message', '5'], ['--rounds', 'many'], ['--only', 'no such scenario'], ['nanomq=here']]) {
      const result = await bench(...args)
      expect(result.code, args.join(' ')).not.toBe(0)
      expect(result.errors.length).toBeGreaterThan(0)
    }
  })
})
