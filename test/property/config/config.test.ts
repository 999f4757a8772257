// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these references are for larder.yaml, not for JavaScript

/** Whatever stands in the file, loading it gives a configuration or faults that can be gone to. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Fault, faultLine, loadConfig } from '../../../src/config/load.ts'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../../src/config/units.ts'
import { cronFault } from '../../../src/devices/cron.ts'

const EXAMPLE = readFileSync(new URL('../../../examples/kitchen.yaml', import.meta.url), 'utf8')
const ENV = { CLOUD_PASSWORD: 'open sesame' }

function load(text: string, env: NodeJS.ProcessEnv = ENV) {
  return loadConfig({ text, env, cwd: '/home/owner', checks: { cron: cronFault } })
}

function expectInside(text: string, faults: readonly Fault[]): void {
  const lines = text.split('\n')
  expect(faults.length).toBeGreaterThan(0)
  for (const fault of faults) {
    expect(fault.file).toBe('larder.yaml')
    expect(fault.message).not.toBe('')
    expect(faultLine(fault)).not.toMatch(/[\n\r]|undefined|\[object/)
    const line = lines[fault.line - 1]
    expect(line, `line ${fault.line} of ${lines.length}`).toBeDefined()
    expect(fault.column).toBeGreaterThanOrEqual(1)
    // One past the end is where something is missing.
    expect(fault.column).toBeLessThanOrEqual(line!.length + 1)
  }
  const places = faults.map(({ line, column }) => line * 1e6 + column)
  expect(places).toEqual(places.toSorted((a, b) => a - b))
}

/** Pieces that mean something to YAML or to us. */
const piece = fc.oneof(
  fc.constantFrom(
    ...[
      ':',
      ': ',
      '\n',
      '  ',
      '\t',
      '- ',
      '#',
      ' #',
      '"',
      "'",
      '[',
      ']',
      '{',
      '}',
      ',',
      '&a ',
      '*a',
      '<<: *a',
      '!x ',
      '|',
      '>',
      '%',
      '@',
      '`',
    ],
    ...[
      '---\n',
      '...\n',
      '? ',
      '\\',
      '\0',
      '\r',
      '\uFEFF',
      '${',
      '${X}',
      '${X:-y}',
      '$${',
      '~',
      'null',
      'true',
      '.inf',
      '-1',
      '1e999',
      '0x1F',
    ],
    ...['name: x\n', 'devices:\n', '__proto__: x\n', 'system:', 'gpio: {}', '5parsecs', 'mqtts://'],
  ),
  fc.string({ unit: 'binary', maxLength: 4 }),
)

const edit = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), remove: fc.nat(30), insert: piece })

test('a file that was scribbled on is valid or has faults inside itself', () => {
  let valid = 0
  let faulty = 0
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), edits => {
      let text = EXAMPLE
      for (const { at, remove, insert } of edits) {
        const start = Math.floor(at * text.length)
        text = text.slice(0, start) + insert + text.slice(start + remove)
      }
      const result = load(text)
      if ('faults' in result) {
        faulty++
        expectInside(text, result.faults)
      } else {
        valid++
        expect(result.config.listeners).toBeInstanceOf(Array)
      }
    }),
    { numRuns: 200 },
  )
  // Both happen, or the property says nothing.
  expect(Math.min(valid, faulty)).toBeGreaterThan(0)
})

test('the same of a file made of pieces', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), pieces => {
      const text = pieces.join('')
      const result = load(text)
      if ('faults' in result) expectInside(text, result.faults)
    }),
    { numRuns: 1000 },
  )
})

/** A value in the place of any other. */
const json = fc.jsonValue({ maxDepth: 3 })

test('a wrong value anywhere is a fault at that key or below', () => {
  const known = ['name', 'data_dir', 'listeners', 'store', 'limits', 'devices', 'schedules', 'bridges', 'log']
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...known), json), contents => {
      // JSON is YAML.
      const text = JSON.stringify(contents, null, 1)
      const result = load(text)
      if (!('faults' in result)) return
      expectInside(text, result.faults)
      for (const { path } of result.faults) expect(known).toContain(path.split(/[.[]/)[0])
    }),
    { numRuns: 300 },
  )
})

test('no variable makes loading fail otherwise than with a fault', () => {
  const value = fc.oneof(piece, fc.string({ unit: 'binary' }))
  const names = ['LARDER_NAME', 'LARDER_DATA_DIR', 'LARDER_LOG_LEVEL', 'LARDER_LOG_FORMAT', 'LARDER_LISTENERS', 'X']
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...names), value), env => {
      const result = load('name: ${X:-y}\nlog: {}', env)
      if (!('faults' in result)) return
      for (const fault of result.faults) {
        expect([...names, 'larder.yaml']).toContain(fault.file)
        expect(faultLine(fault)).not.toMatch(/[\n\r]/)
      }
    }),
  )
})

test('durations and sizes come back as they went', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), amount => {
      expect(parseDuration(formatDuration(amount))).toBe(amount)
      expect(parseSize(formatSize(amount))).toBe(amount)
    }),
  )
  const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.entries(units)),
      fc.integer({ min: 0, max: 100_000 }),
      ([unit, ms], amount) => {
        expect(parseDuration(`${amount}${unit}`)).toBe(amount * ms)
        expect(parseDuration(formatDuration(amount * ms))).toBe(amount * ms)
      },
    ),
  )
})
