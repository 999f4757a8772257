/**
 * The guard of the hot path: what the gateway allocates and calls for a fixed load has not grown by more than a tenth
 * since `scripts/benchmarks/counts.json` was written (`scripts/bench counts --update`, with the reason in the commit).
 */
import { readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Counts, changes, LOADS } from '../../scripts/benchmarks/counts.ts'
import { ROOT } from '../support/gateway.ts'
import { needs } from '../support/needs.ts'
import { run } from '../support/process.ts'

const FILE = join(ROOT, 'scripts/benchmarks/counts.json')
/** The load with which the guard itself is tested. */
const LOAD = '1 to 1, QoS 0'
/** ms for all loads on a busy machine. */
const PATIENCE = 180_000

const { node, counts } = JSON.parse(readFileSync(FILE, 'utf8')) as { node: number; counts: Record<string, Counts> }
const major = Number(process.versions.node.split('.')[0])
/** What another Node.js allocates is told, and not judged. */
const isJudged = node === major
const guard = (...args: string[]) =>
  run(join(ROOT, 'scripts/bench'), ['counts', ...args], { cwd: ROOT, timeout: PATIENCE })

describe.skipIf(!needs('gcc'))('scripts/bench counts', () => {
  test('nothing has grown by more than a tenth', { timeout: PATIENCE }, async () => {
    expect(Object.keys(counts)).toEqual(LOADS.map(({ name }) => name))
    const result = await guard()
    console.log(result.lines.join('\n'))
    expect(result.code, [...result.lines, ...result.errors].join('\n')).toBe(0)
  })

  test.skipIf(!isJudged)('fails on growth, and only tells of a fall', { timeout: PATIENCE }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'larder-counts-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const bent = join(folder, 'counts.json')
    const found = counts[LOAD] as Counts
    for (const [times, code, word] of [
      [0.8, 1, 'GROWN'],
      [1.2, 0, 'fallen'],
    ] as const) {
      const bytes = Math.round(found.bytes * times)
      await writeFile(bent, JSON.stringify({ node, counts: { [LOAD]: { ...found, bytes } } }))
      const result = await guard('--only', LOAD, '--expected', bent)
      expect(result.code, result.lines.join('\n')).toBe(code)
      const told = result.lines.filter(line => /^(GROWN|fallen) /.test(line))
      expect(told).toHaveLength(1)
      expect(told[0]).toMatch(new RegExp(`^${word} +${LOAD}: bytes `))
    }
  })

  test('writes what it found, and keeps the loads that were not chosen', { timeout: PATIENCE }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'larder-counts-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const file = join(folder, 'counts.json')
    const other = { bytes: 1, promises: 1, callbacks: 1, reads: 1 }
    await writeFile(file, JSON.stringify({ node: major, counts: { other } }))
    const result = await guard('--only', LOAD, '--rounds', '1', '--expected', file, '--update')
    expect(result.code, result.errors.join('\n')).toBe(0)
    const written = JSON.parse(await readFile(file, 'utf8'))
    expect(written).toEqual({
      node: major,
      counts: { other, [LOAD]: expect.objectContaining({ bytes: expect.any(Number) }) },
    })
  })

  test('a promise for each message is seen, and so is a load that nothing is known of', () => {
    const expected = { load: { bytes: 1_000_000, promises: 2.8, callbacks: 20, reads: 10, writes: 10 } }
    const found = { load: { ...expected.load, promises: 1_002.8, reads: 11.5 }, fresh: expected.load }
    const { grown, fallen } = changes(expected, found)
    expect(grown.map(({ load, what }) => `${load} ${what}`)).toEqual([
      'load promises',
      ...['bytes', 'promises', 'callbacks', 'reads', 'writes'].map(what => `fresh ${what}`),
    ])
    expect(fallen).toEqual([])
  })
})
