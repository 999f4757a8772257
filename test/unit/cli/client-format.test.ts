import { expect, test } from 'vitest'
import { compileFormat, printed } from '../../../src/cli/mqtt/format.ts'
import { rewritten } from '../../../src/cli/mqtt/json.ts'
import type { ReceivedMessage } from '../../../src/mqtt/client-packets.ts'
import { strftime } from '../../../src/observe/strftime.ts'

const message = (fields: Partial<ReceivedMessage>): ReceivedMessage => ({
  topic: 'a/b',
  payload: Buffer.from('hi'),
  qos: 0,
  retain: false,
  dup: false,
  packetId: 0,
  properties: undefined,
  ...fields,
})

/** What a format prints, as text, and what it complains of. */
function print(source: string, fields: Partial<ReceivedMessage> = {}): [text: string, complaints: string[]] {
  const format = compileFormat(source)
  if (typeof format === 'string') throw new Error(format)
  const complaints: string[] = []
  const options = { format, verbose: false, endOfLine: false, pretty: false }
  const bytes = printed(message(fields), options, {
    date: new Date(2026, 10, 23, 1, 2, 3, 45),
    strftime,
    complain: line => complaints.push(line),
  })
  return [Buffer.from(bytes, 'latin1').toString(), complaints]
}

test.each([
  ['%t %p %l %q %r %m', 'a/b hi 2 0 0 0'],
  ['%10t|%-5t|%.1t|%5.2t', '       a/b|a/b  |a|   a/'],
  ['%5p|%-5p|%05p|%1p', '   hi|hi   |000hi|h'],
  ['%x|%X|%6x|%-6x|%4x', '6869|6869|    68|68    |  68'],
  ['%05l|%-3l|', '00002|2  |'],
  ['%3A|%03E|%4C|%R|', '   |000|    ||'],
  ['@H:@M:@S.@N @@ %%', '01:02:03.045000000 @ %'],
  ['\\t\\n\\\\', '\t\n\\'],
  ['%tü%p', 'a/bühi'],
])('the format %j', (source, expected) => {
  expect(print(source)).toEqual([expected, []])
})

test('a width counts bytes, and bytes that are no UTF-8 go through', () => {
  expect(print('%5t|', { topic: 'é' })[0]).toBe('   é|')
  const format = compileFormat('%p')
  if (typeof format === 'string') throw new Error(format)
  const options = { format, verbose: false, endOfLine: true, pretty: false }
  const payload = Buffer.from([0xff, 0x00, 0x80])
  const bytes = printed(message({ payload }), options, { date: new Date(0), strftime, complain: () => {} })
  expect(Buffer.from(bytes, 'latin1')).toEqual(Buffer.from([0xff, 0x00, 0x80, 0x0a]))
})

test('a payload that is no JSON is complained of, and the rest is printed', () => {
  expect(print('<%J>', { payload: Buffer.from('1,"x":2') })).toEqual([
    '<>',
    ['Error: Message payload is not valid JSON on topic a/b.\n'],
  ])
})

test.each([
  ['%', 'Error: Incomplete format specifier.\n'],
  ['%5', 'Error: Incomplete format specifier.\n'],
  ['%y', "Error: Invalid format specifier 'y'.\n"],
  ['@', 'Error: Incomplete format specifier.\n'],
  ['\\q', "Error: Invalid escape specifier 'q'.\n"],
])('no format is %j', (source, expected) => {
  expect(compileFormat(source)).toBe(expected)
})

test.each([
  ['[1e15,123456789012,1.1,0.00001,1E400,-0,0.1e1,0.1]', '[1e+15,123456789012,1.1,1e-05,null,-0,1,0.1]'],
  ['{ "2" : 1, "1":[ ], "2":{ } }', '{"2":1,"1":[],"2":{}}'],
  ['"\\u0001\\/\\ud83d\\ude00"', '"\\u0001/\u00f0\u009f\u0098\u0080"'],
  ['"a\tb"', '"a\\tb"'],
  [' 01 ', '1'],
])('JSON %s becomes %s, as cJSON writes it', (text, expected) => {
  expect(rewritten(text, false)).toBe(expected)
})

test.each(['', '1 2', '{"a":1,}', "'x'", '.5', '+1', '"a', 'tru', '[', '"\\ud800"', '{1:2}', '['.repeat(2_000)])(
  'no JSON is %j',
  text => {
    expect(rewritten(text, false)).toBeUndefined()
  },
)

test('pretty JSON', () => {
  expect(rewritten('{"a":[1,{"b":{}}]}', true)).toBe('{\n\t"a":\t[1, {\n\t\t\t"b":\t{\n\t\t\t}\n\t\t}]\n}')
})
