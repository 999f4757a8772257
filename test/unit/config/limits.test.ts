/** `docs/limits.md` says what is so: every limit with its default and its bounds, and every constant that it names. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseDuration, parseSize } from '../../../src/config/units.ts'
import { configOf, faultsOf } from './loading.ts'

const ROOT = join(import.meta.dirname, '../../..')
const rows = readFileSync(join(ROOT, 'docs/limits.md'), 'utf8')
  .split('\n')
  .filter(line => line.startsWith('| `'))
  .map(line => line.split('|').map(cell => cell.trim().replaceAll('`', '')))
const limits = rows
  .filter(row => row.length === 7)
  .map(([, key = '', written = '', bounds = '']) => ({ key, written, bounds }))
const constants = rows
  .filter(row => row.length === 6)
  .map(([, name = '', value = '', file = '']) => ({ name, value, file }))

test('each key is there once', () => {
  const known = Object.keys(configOf('').limits).map(key => key.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`))
  expect(limits.map(({ key }) => key).sort()).toEqual(known.sort())
})

describe.each(limits)('$key', ({ key, written, bounds }) => {
  test('has that default', () => {
    expect(configOf(`limits: { ${key}: ${written} }`).limits).toEqual(configOf('').limits)
  })

  test('has those bounds', () => {
    const [message = ''] = ['99999999999999', '-1', '9999999d', '"?"'].flatMap(value => {
      return faultsOf(`limits: { ${key}: ${value} }`).filter(fault =>
        /must be (between|one of|[\w-]+(,| or))/.test(fault),
      )
    })
    const between = /must be between (\S+) and (\S+); found/.exec(message)
    if (between !== null) expect(`${between[1]} … ${between[2]}`).toBe(bounds)
    else expect(bounds.split(', ').every(choice => message.includes(choice))).toBe(true)
  })
})

test.each(constants)('$name in $file', ({ name, value, file }) => {
  const source = readFileSync(join(ROOT, file), 'utf8')
  const [, expression = ''] = new RegExp(`^(?:export )?const ${name} = ([\\d_ *]+)$`, 'm').exec(source) ?? []
  const factors = expression.split('*').map(factor => Number(factor.replaceAll('_', '')))
  const isDuration = parseDuration(value) !== undefined
  expect(factors.reduce((product, factor) => product * factor, 1)).toBe(
    isDuration ? parseDuration(value) : parseSize(value),
  )
})

test('the tables were read', () => {
  expect(limits.length).toBeGreaterThan(25)
  expect(constants.length).toBeGreaterThan(10)
})
