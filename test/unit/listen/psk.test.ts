import { describe, expect, test } from 'vitest'
import { LarderError } from '../../../src/kernel/errors.ts'
import { parsePskFile } from '../../../src/listen/psk.ts'

describe('a psk_file', () => {
  test('is read as Mosquitto reads it', () => {
    const text = '# comment\n\nlamp:00C0ffee\r\nküche x:abc\n'
    const keys = parsePskFile(text, 'psk')
    expect([...keys].map(([identity, key]) => [identity, key.toString('hex')])).toEqual([
      ['lamp', '00c0ffee'],
      ['küche x', '0abc'],
    ])
  })

  test.each<[string, string, number]>([
    ['no colon', 'a:ff\nsecret', 2],
    ['no identity', ':ff', 1],
    ['no key', 'a:', 1],
    ['a key that is not hexadecimal', '#\n\na:secret', 3],
    ['a key too long', `a:${'ff'.repeat(257)}`, 1],
    ['an identity too long', `${'a'.repeat(257)}:ff`, 1],
    ['an identity twice', 'a:ff\na:fe', 2],
  ])('with %s is refused by its line, without showing it', (_what, text, line) => {
    try {
      parsePskFile(text, '/etc/larder/psk')
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(LarderError)
      expect((error as LarderError).message).toMatch(new RegExp(`^/etc/larder/psk:${line}: `))
      expect((error as LarderError).toLine()).not.toMatch(/secret|ff/)
    }
  })
})
