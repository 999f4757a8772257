/** docs/codecs.md and what the configuration takes: the same codecs with the same defaults, and examples that are right. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { configOf, faultsOf } from './loading.ts'

const DOC = readFileSync(new URL('../../../docs/codecs.md', import.meta.url), 'utf8')

/** The keys of a serial device, as they stand on lines of their own. */
function deviceOf(keys: string): string {
  const indented = keys.trim().replaceAll(/^/gm, '      ')
  return `devices:\n  - name: A\n    room: R\n    serial:\n      path: /x\n${indented}\n`
}

/** The rows of the table that begins with this column. */
function rows(first: string): string[][] {
  const [, table = ''] = DOC.split(new RegExp(`^\\| ${first} +\\|`, 'm'))
  const [, , ...lines] = table.split('\n')
  const end = lines.findIndex(line => !line.startsWith('|'))
  return lines.slice(0, end).map(line =>
    line
      .split('|')
      .map(cell => cell.trim())
      .slice(1, -1),
  )
}

const EXAMPLES = [...DOC.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = '']) => text)

test('there are examples', () => expect(EXAMPLES.length).toBeGreaterThan(8))
test.each(EXAMPLES)('the example is right: %s', text => expect(faultsOf(deviceOf(text))).toEqual([]))

describe('the table of codecs', () => {
  const NEEDS: Readonly<Record<string, string>> = {
    csv: 'columns: [a]',
    regex: "pattern: '(?<a>.)'",
    modbus: 'registers: [{ name: a, address: 0 }]',
    raw: 'length: 1',
    custom: 'custom: ./x.js',
  }
  const table = rows('codec').map(([name = '', , baud]) => [/`(\w+)`/.exec(name)?.[1] ?? '', Number(baud)] as const)

  test('has all of them', () => {
    const [fault] = faultsOf(deviceOf('codec: qqqqqq'))
    const known = /must be (.*); found/.exec(fault ?? '')?.[1]?.split(/, | or /)
    expect(table.map(([name]) => name)).toEqual(known)
  })

  test.each(table)('%s begins with %i baud', (name, baud) => {
    const config = configOf(deviceOf(`codec: ${name}\n${NEEDS[name] ?? ''}`))
    expect(config.devices[0]?.settings).toMatchObject({ codec: name, baud })
  })
})

describe('the table of registers', () => {
  const table = rows('key of a register').map(([key = '', preset = '']) => [key.replaceAll('`', ''), preset] as const)
  const register = (more: string) => deviceOf(`codec: modbus\nregisters: [{ name: a, address: 0${more} }]`)

  test('has all keys', () => {
    const [fault] = faultsOf(register(', qqqqqq: 1'))
    const known = /known here: (.*)$/.exec(fault ?? '')?.[1]?.split(', ')
    expect(table.map(([key]) => key).sort()).toEqual(known?.sort())
  })

  test.each(
    table.flatMap(([key, preset]) => {
      const literal = /^`([^`]+)`/.exec(preset)?.[1]
      return literal === undefined ? [] : [[key, literal] as const]
    }),
  )('%s is %s', (key, preset) => {
    expect(configOf(register(`, ${key}: ${preset}`))).toEqual(configOf(register('')))
  })
})
