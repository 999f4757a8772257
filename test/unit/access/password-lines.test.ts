import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { userNameFault, withHashes, withoutUser, withUser } from '../../../src/access/password-lines.ts'

const FILE = `# the house
anna:old

  bert : old\r
# anna:not a user
nonsense
carl:old`

test('a password is set in its place, and everything else stays as it is', () => {
  expect(withUser(FILE, 'anna', 'NEW')).toEqual({ text: FILE.replace('anna:old', 'anna:NEW'), isNew: false })
  expect(withUser(FILE, 'bert', 'NEW')).toEqual({ text: FILE.replace('  bert : old', 'bert:NEW'), isNew: false })
  expect(withUser(FILE, 'carl', 'NEW')).toEqual({ text: FILE.replace('carl:old', 'carl:NEW'), isNew: false })
  expect(withUser(FILE, 'dora', 'NEW')).toEqual({ text: `${FILE}\ndora:NEW\n`, isNew: true })
  expect(withUser('', 'dora', 'NEW')).toEqual({ text: 'dora:NEW\n', isNew: true })
})

test('of two lines of one user, one stays', () => {
  expect(withUser('anna:1\nbert:2\nanna:3\n', 'anna', 'NEW').text).toBe('anna:NEW\nbert:2\n')
  expect(withoutUser('anna:1\nbert:2\nanna:3\n', 'anna')).toBe('bert:2\n')
})

test('a user goes, and everybody else stays', () => {
  expect(withoutUser(FILE, 'anna')).toBe(FILE.replace('anna:old\n', ''))
  expect(withoutUser(FILE, 'carl')).toBe(FILE.replace('carl:old', ''))
  expect(withoutUser(FILE, 'dora')).toBeUndefined()
  expect(withoutUser(FILE, '# anna')).toBeUndefined()
})

test('what was set can be taken out again, and leaves nothing behind', () => {
  const name = fc
    .string({ unit: fc.constantFrom('a', 'b', ' ', '%', '\u00e9'), minLength: 1 })
    .filter(text => !userNameFault(text))
  const line = fc.oneof(
    fc.constantFrom('# comment', '', 'nonsense', ' spaced : x '),
    name.map(each => `${each}:x`),
  )
  fc.assert(
    fc.property(fc.array(line), name, (lines, userName) => {
      const text = lines.map(each => `${each}\n`).join('')
      const without = withoutUser(text, userName) ?? text
      expect(withoutUser(withUser(text, userName, 'h').text, userName)).toBe(without)
    }),
  )
})

describe('plain passwords', () => {
  const hash = async (userName: string, password: string) => `<${userName}|${password}>`
  const HASH = `$6$AAAAAAAAAAAAAAAA$${Buffer.alloc(64).toString('base64')}`

  test('are hashed; hashes, comments and line ends stay', async () => {
    expect(await withHashes(`# c\nanna:pa:ss\r\nbert:${HASH}\n\ncarl: $1 \ndora:x`, hash)).toEqual({
      text: `# c\nanna:<anna|pa:ss>\r\nbert:${HASH}\n\ncarl:<carl|$1>\ndora:<dora|x>`,
      hashed: 3,
    })
  })

  test.each([
    ['no colon', 'anna:x\nnonsense\n', 'line 2 is not of the form'],
    ['no name', ':x\n', 'line 1 is not of the form'],
    ['no password', '# c\nanna:\n', 'line 2 is not of the form'],
    ['half a hash', `anna:${HASH.slice(0, 40)}\n`, 'line 1 begins like a hash'],
  ])('%s is a fault', async (_, text, fault) => {
    expect(await withHashes(text, hash)).toContain(fault)
  })
})

test.each(['anna', 'An na', '50%', 'anna@home/1', 'Ren\u00e9', '$6$', 'x'.repeat(65_535)])('the name %.20s', name => {
  expect(userNameFault(name)).toBeUndefined()
})

test.each([
  ['', 'empty'],
  ['a:b', "':'"],
  ['a\nb', 'control'],
  ['a\u0085', 'control'],
  ['#a', "'#'"],
  [' a', 'space'],
  ['a\u00a0', 'space'],
  ['\u00e9'.repeat(32_768), '65535 bytes'],
])('the name %.20j is refused', (name, fault) => {
  expect(userNameFault(name)).toContain(fault)
})
