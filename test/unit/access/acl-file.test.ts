import { describe, expect, test } from 'vitest'
import type { Acl } from '../../../src/access/acl.ts'
import { type AclFault, parseAcl } from '../../../src/access/acl-file.ts'

const FILE = '/etc/mosquitto/acl'
const ANNA = { id: 'c1', userName: 'anna' }
const NOBODY = { id: 'c1', userName: undefined }

function aclOf(...lines: string[]): Acl {
  const read = parseAcl(lines.join('\n'), FILE)
  if ('faults' in read) throw new Error(JSON.stringify(read.faults))
  return read.acl
}

function warningsOf(...lines: string[]): AclFault[] {
  const read = parseAcl(lines.join('\n'), FILE)
  return 'faults' in read ? [] : read.warnings
}

test('the example that Debian ships', () => {
  const acl = aclOf(
    '# This affects access control for clients with no username.',
    'topic read $SYS/#',
    '',
    '# This only affects clients with username "roger".',
    'user roger',
    'topic foo/bar',
    '',
    '# This affects all clients.',
    'pattern write $SYS/broker/connection/%c/state',
    '',
  )
  expect(acl.mayReceive(NOBODY, '$SYS/broker/uptime')).toBe(true)
  expect(acl.mayReceive(ANNA, '$SYS/broker/uptime')).toBe(false)
  expect(acl.mayPublish({ id: 'c1', userName: 'roger' }, 'foo/bar')).toBe(true)
  expect(acl.mayPublish(NOBODY, 'foo/bar')).toBe(false)
  expect(acl.mayPublish(NOBODY, '$SYS/broker/connection/c1/state')).toBe(true)
  expect(acl.mayPublish(NOBODY, '$SYS/broker/connection/c2/state')).toBe(false)
})

test.each([
  ['line ends of Windows', 'user anna\r\ntopic read a\r\n'],
  ['spaces around everything', '  user   anna  \n   topic   read   a   '],
  ['a tab behind the access, and at the end', 'user anna\ntopic read \ta\t'],
  ['a section in two parts', 'user anna\ntopic write b\nuser bert\ntopic b\nuser anna\ntopic read a'],
  ['a byte order mark', '\ufeffuser anna\ntopic read a'],
  ['no line end', 'user anna\n\n\n#\n# topic deny a\ntopic read a'],
])('%s', (_what, text) => {
  const acl = aclOf(text)
  expect(acl.mayReceive(ANNA, 'a')).toBe(true)
  expect(acl.mayPublish(ANNA, 'a')).toBe(false)
  expect(acl.mayReceive(NOBODY, 'a')).toBe(false)
})

test('names and filters with spaces', () => {
  const acl = aclOf('user  anna b  c ', 'topic read  living room/+ ', 'topic garden')
  const client = { id: 'c1', userName: 'anna b  c' }
  expect(acl.mayReceive(client, 'living room/lamp')).toBe(true)
  expect(acl.mayPublish(client, 'living room/lamp')).toBe(false)
  expect(acl.mayPublish(client, 'garden')).toBe(true)
})

test.each([
  ['an empty file', ''],
  ['blank lines and comments', '\n   \n# topic #\n#\n'],
  ['a user without rules', 'user anna\n'],
])('%s denies everything to everybody (CVE-2018-12550)', (_what, text) => {
  const acl = aclOf(text)
  for (const client of [ANNA, NOBODY]) {
    expect(acl.mayPublish(client, 'a')).toBe(false)
    expect(acl.mayReceive(client, 'a')).toBe(false)
    expect(acl.maySubscribe(client, '#')).toBe(false)
  }
})

describe('a fault', () => {
  test.each([
    ['a word that begins no line', 'bogus a', 1, 'topic, user, pattern or #, not with "bogus"'],
    ['capitals', 'Topic read a', 1, 'not with "Topic"'],
    ['a comment that does not begin the line', '  # a', 3, 'first column'],
    ['a tab behind topic', 'topic\tread a', 1, 'tabs'],
    ['a tab behind the access', 'topic read\ta', 7, 'tabs'],
    ['a tab before topic', '\ttopic read a', 1, 'tabs'],
    ['no filter', 'topic', 6, "no topic filter after 'topic'"],
    ['no filter in a pattern', '  pattern  ', 10, "no topic filter after 'pattern'"],
    ['no user', 'user', 5, "no user name after 'user'"],
    ['an unknown access', 'topic none a/b', 7, '"none" is no access: it must be one of read, write, readwrite, deny'],
    ['an access in capitals', 'topic READ a', 7, '"READ" is no access'],
    ['a filter with spaces and no access', 'topic living room', 7, 'also before a topic filter with spaces'],
    ['a comment behind a rule', 'topic read a # for all', 12, "'#'"],
    ["a '#' that is no level", 'topic read  a#', 13, "'#'"],
    ["a '+' that is no level", 'topic a/b+/c', 7, "'+'"],
    ['too many levels', `topic read ${'a/'.repeat(200)}a`, 12, '200 levels'],
    ['a long word', 'x'.repeat(100_000), 1, `not with "${'x'.repeat(40)}…"`],
  ])('%s', (_what, line, column, message) => {
    expect(parseAcl(`# first\n${line}\n`, FILE)).toEqual({
      faults: [{ file: FILE, line: 2, column, message: expect.stringContaining(message) }],
    })
  })

  test('comes with all others, in order, and leaves no ACL', () => {
    const read = parseAcl('topic\ntopic read a\nuser\ntopic nope b\nuser anna\npattern read #/a', FILE)
    expect(read).toEqual({
      faults: [
        [1, 6],
        [3, 5],
        [4, 7],
        [6, 14],
      ].map(([line, column]) => ({ file: FILE, line, column, message: expect.any(String) })),
    })
  })
})

describe('a warning', () => {
  test.each([
    ['an access without a filter', 'topic deny', 7, "readwrite to the topic 'deny'"],
    ['a pattern without placeholders', 'pattern read a', 14, 'every client alike'],
    ['a placeholder in a topic line', 'topic read a/%u', 12, "'pattern' lines only"],
    ['a placeholder in a part of a level', 'pattern read dev-%c/a', 14, 'whole level'],
  ])('%s', (_what, line, column, message) => {
    expect(warningsOf('', line)).toEqual([{ file: FILE, line: 2, column, message: expect.stringContaining(message) }])
  })

  test('is rare', () => {
    expect(warningsOf('topic read a', 'user anna', 'topic deny a/b', 'pattern readwrite a/%u/%c/#')).toEqual([])
  })
})
