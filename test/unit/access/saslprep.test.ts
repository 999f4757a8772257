import { expect, test } from 'vitest'
import { saslprep } from '../../../src/access/saslprep.ts'

// The first five are the examples of RFC 4013 §3.
test.each([
  ['a soft hyphen goes', 'I\u00adX', 'IX'],
  ['ASCII stays', 'user', 'user'],
  ['case stays', 'USER', 'USER'],
  ['a feminine ordinal is an a', '\u00aa', 'a'],
  ['a Roman numeral is its letters', '\u2168', 'IX'],
  ['accents join their letters', 'e\u0301', '\u00e9'],
  ['other spaces are spaces', 'a\u00a0b\u3000c', 'a b c'],
  ['joiners and variation selectors go', '\ufeffa\u200d\ufe0fb', 'ab'],
  ['beyond the first plane', '\u{1f511}', '\u{1f511}'],
])('%s', (_, text, prepared) => {
  expect(saslprep(text)).toBe(prepared)
})

test.each([
  ['a control', '\u0007'],
  ['the other controls', 'a\u0085'],
  ['NUL', 'a\0b'],
  ['what turns the direction of text', 'a\u202eb'],
  ['private use', '\ue000'],
  ['half a surrogate pair', '\ud800'],
  ['what is not a character', '\ufdd0'],
  ['the replacement character', 'a\ufffd'],
  ['a tag', '\u{e0041}'],
  ['a line separator', 'a\u2028b'],
  ['nothing', ''],
  ['what becomes nothing', '\u00ad'],
])('refuses %s', (_, text) => {
  expect(saslprep(text)).toBeUndefined()
})
