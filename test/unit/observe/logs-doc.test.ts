/** docs/logs.md has every key of `log`, with its default and its values, and says the bounds as they are. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { MAX_REPEATS } from '../../../src/kernel/log-repeats.ts'
import { MAX_TAIL_LENGTH, MAX_TAIL_LINES } from '../../../src/kernel/log-tail.ts'
import { configOf, faultsOf } from '../config/loading.ts'

const text = readFileSync(join(import.meta.dirname, '../../../docs/logs.md'), 'utf8')
const rows = text
  .split('\n')
  .filter(line => line.startsWith('| `'))
  .map(line => line.split('|').map(cell => cell.trim()))
const keys = rows
  .filter(cells => cells.length === 6)
  .map(([, key = '', standard = '', values = '']) => ({
    key: key.replaceAll('`', ''),
    standard: standard.replaceAll('`', ''),
    values: values.replaceAll('`', '').split(', '),
  }))

test('every key', () => {
  const [fault = ''] = faultsOf('log: { nonsense: 1 }')
  for (const { key } of keys) expect(fault).toContain(key)
  expect(keys.map(({ key }) => key)).toEqual(['level', 'format', 'topics'])
  expect(configOf('').log).toEqual({ level: 'info', format: 'auto' })
})

test.each(keys)('$key takes what stands there, and nothing else', ({ key, standard, values }) => {
  for (const value of values) expect(configOf(`log: { ${key}: ${value} }`).log).toMatchObject({ [key]: value })
  const [last = '', ...others] = values.toReversed()
  expect(faultsOf(`log: { ${key}: nonsense }`).join()).toContain(
    `log.${key}: must be ${others.toReversed().join(', ')} or ${last};`,
  )
  if (standard !== '') expect(configOf(`log: { ${key}: ${standard} }`)).toEqual(configOf(''))
})

test('bounds', () => {
  expect(text).toContain(`${MAX_REPEATS} are told in a minute`)
  expect(text).toContain(`last ${MAX_TAIL_LINES} lines in memory, ${MAX_TAIL_LENGTH.toLocaleString('en')} characters`)
})
