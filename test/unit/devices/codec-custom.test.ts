/** A codec of the owner's own: the example that is in the documentation, and everything that such a module may do wrong. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadCodec } from '../../../device/codecs/create.ts'
import { MAX_VALUES } from '../../../device/codecs/values.ts'
import { LarderError } from '../../../src/kernel/errors.ts'
import { listenTo } from '../../support/decode.ts'

const EXAMPLE = resolve(import.meta.dirname, '../../../examples/my-codec.js')
const folder = mkdtempSync(join(tmpdir(), 'larder-codec-'))
afterAll(() => rmSync(folder, { recursive: true }))

let count = 0
function moduleOf(text: string): string {
  const file = join(folder, `codec ${count++}.mjs`)
  writeFileSync(file, text)
  return file
}

async function listen(file: string, options: Record<string, unknown> = {}) {
  return listenTo(await loadCodec({ codec: 'custom', file, options }))
}

/** A codec whose `push` does this. */
const pushing = (body: string) => listen(moduleOf(`export default (options, events) => ({ push(chunk) { ${body} } })`))

describe('the example', () => {
  const frame = Buffer.from('a50001f49a', 'hex')

  it('reads its frames, cut anywhere, between noise', async () => {
    const { codec, push, values, faults } = await listen(EXAMPLE, { tare: 120 })
    push(frame.subarray(0, 2), frame.subarray(2), Buffer.from('a5 00 ff a5'.replaceAll(' ', ''), 'hex'), frame)
    expect(values).toEqual([{ weight: 380 }, { weight: 380 }])
    expect(faults).toEqual(['a frame with a wrong sum was dropped', 'a frame with a wrong sum was dropped'])
    expect(codec.values).toEqual({ weight: { unit: 'g', deviceClass: 'weight', stateClass: 'measurement' } })
  })

  it('takes a command', async () => {
    const { codec } = await listen(EXAMPLE)
    expect(codec.encode?.('zero')).toEqual(Buffer.from('a55a', 'hex'))
    expect(() => codec.encode?.('fly')).toThrow("the scale takes the command 'zero'")
  })
})

it('makes a new codec for each connection', async () => {
  const make = await loadCodec({ codec: 'custom', file: EXAMPLE, options: {} })
  const [first, second] = [listenTo(make), listenTo(make)]
  first.push(Buffer.from('a50001', 'hex'))
  second.push(Buffer.from('f49a', 'hex'))
  expect([first.values, second.values]).toEqual([[], []])
})

it('has questions, if it wants to', async () => {
  const file = moduleOf(`export default (options, events) => ({
    questions: [Buffer.from('A?'), Buffer.from('B?')],
    asked(index) { this.index = index },
    push(chunk) { events.reading({ value: { [this.index]: chunk.toString() }, at: 5 }); events.answered() },
    finished() { events.fault('done') },
  })`)
  const listener = await listen(file)
  expect(listener.codec.questions?.map(String)).toEqual(['A?', 'B?'])
  listener.codec.asked?.(1)
  listener.push('x')
  listener.codec.finished?.()
  expect([listener.readings, listener.answers, listener.faults]).toEqual([[{ value: { 1: 'x' }, at: 5 }], 1, ['done']])
})

describe('a fault is', () => {
  it.each([
    ['what it throws', "throw new Error('boom')", 'the codec failed: boom'],
    ['what it throws that is no error', 'throw 5', 'the codec failed: 5'],
    ['no value', 'events.reading({})', 'the codec gave a reading without a value'],
    ['nothing', 'events.reading()', 'the codec gave a reading without a value'],
    [
      'a number that is none',
      'events.reading({ value: NaN })',
      'the codec gave a value that is no number, text, boolean or map of them',
    ],
    [
      'a list',
      'events.reading({ value: [1] })',
      'the codec gave a value that is no number, text, boolean or map of them',
    ],
    [
      'a map in a map',
      'events.reading({ value: { a: { b: 1 } } })',
      'the codec gave a value "a" that is no number, text or boolean',
    ],
    ['an empty map', 'events.reading({ value: {} })', `the codec gave 0 values, where 1 to ${MAX_VALUES} are taken`],
    [
      'a flood',
      'events.reading({ value: Object.fromEntries(Array.from({ length: 200 }, (_, i) => [i, i])) })',
      `the codec gave 200 values, where 1 to ${MAX_VALUES} are taken`,
    ],
    [
      'a time that is none',
      "events.reading({ value: 1, at: 'now' })",
      'the codec gave a time that is no number of milliseconds',
    ],
  ])('%s', async (_, body, fault) => {
    const { push, readings, faults } = await pushing(body)
    push('x')
    expect([readings, faults]).toEqual([[], [fault]])
  })
})

describe('is refused when', () => {
  const refusalOf = async (file: string): Promise<LarderError> => {
    const error = await listen(file).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    if (!(error instanceof LarderError)) throw new Error(`no refusal of ours: ${error}`)
    expect(error.code).toBe('DEVICE_FAILED')
    expect(error.hint).toBe('docs/codecs.md says what it must be.')
    return error
  }

  it.each([
    ['it exports nothing', 'export const a = 1', 'has no function as its default export'],
    ['it cannot be made', "export default () => { throw new Error('no tare') }", 'cannot be made: no tare'],
    ['it is nothing', 'export default () => undefined', 'makes nothing that has a function push'],
    ['it cannot read', 'export default () => ({})', 'makes nothing that has a function push'],
    ['its questions are text', "export default () => ({ push() {}, questions: ['a'] })", 'has questions that are not'],
    ['its program is none', 'export default (', 'cannot be loaded: '],
  ])('%s', async (_, text, message) => {
    const file = moduleOf(text)
    expect((await refusalOf(file)).message).toContain(`the codec ${file} ${message}`)
  })

  it('it is not there', async () => {
    expect((await refusalOf('/nowhere/codec.js')).message).toMatch(/^the codec \/nowhere\/codec\.js cannot be loaded: /)
  })

  it('it makes no bytes of a command', async () => {
    const { codec } = await listen(moduleOf("export default () => ({ push() {}, encode: () => 'text' })"))
    expect(() => codec.encode?.('x')).toThrow('the codec made no Buffer of the command')
  })
})
