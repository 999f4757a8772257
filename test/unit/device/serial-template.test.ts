import { expect, test } from 'vitest'
import { render, type Template } from '../../../device/serial/template.ts'

const MESSAGE = { topic: '/Home/Kitchen/Display/line1', payload: '{"a":{"b":[1,"two",true,null]},"c":"x\\ny"}' }

test.each<[string, Template, { topic: string; payload: string }, string]>([
  ['text', ['on\r\n'], MESSAGE, 'on\r\n'],
  ['the payload', ['T', { payload: true }, '\n'], { topic: 't', payload: '21.5 °C' }, 'T21.5 °C\n'],
  ['the topic', [{ topic: true }, '='], MESSAGE, '/Home/Kitchen/Display/line1='],
  ['a level', [{ level: 3 }], MESSAGE, 'Kitchen'],
  ['a level from the end', [{ level: -1 }], MESSAGE, 'line1'],
  ['the level before a leading slash', ['[', { level: 1 }, ']'], MESSAGE, '[]'],
  ['values', [{ value: ['a', 'b', '0'] }, { value: ['a', 'b', '1'] }, { value: ['a', 'b', '2'] }], MESSAGE, '1twotrue'],
])('%s', (_, template, message, bytes) => {
  expect(render(template, message).toString()).toBe(bytes)
})

test.each<[Template, { topic: string; payload: string }, string]>([
  [[{ value: ['a'] }], MESSAGE, 'a is not one value'],
  [[{ value: ['a', 'b', '3'] }], MESSAGE, 'a.b.3 is not one value'],
  [[{ value: ['a', 'z'] }], MESSAGE, 'the payload has no a.z'],
  [[{ value: ['toString'] }], MESSAGE, 'the payload has no toString'],
  [[{ value: ['a'] }], { topic: 't', payload: '{' }, 'the payload is not JSON'],
  [[{ value: ['a'] }], { topic: 't', payload: 'null' }, 'the payload has no a'],
  [[{ level: 6 }], MESSAGE, '/Home/Kitchen/Display/line1 has no level 6'],
  [[{ level: -6 }], MESSAGE, '/Home/Kitchen/Display/line1 has no level -6'],
  [
    [{ payload: true }],
    { topic: 't', payload: '1\nRESET' },
    'the payload has a line end or another control character in it',
  ],
  [[{ value: ['c'] }], MESSAGE, 'value.c has a line end or another control character in it'],
])('%j is refused', (template, message, reason) => {
  expect(() => render(template, message)).toThrow(reason)
})
