/** Texts that are not YAML, or more YAML than a configuration needs. */
import { expect, test } from 'vitest'
import { faultsOf } from './loading.ts'

const LEVEL = "log.level: must be debug, info, warn or error; found the text 'x'"
const NOT_A_PAIR =
  'this is not YAML: a key, a colon and a value are expected, indented as their neighbours are (a value with ": " in it goes into quotes)'
const STAR = 'is read as a reference, but no &/5 stands before it; a value that begins with * goes into quotes'

test.each<[what: string, text: string, faults: string[]]>([
  ['a tab', 'log:\n\tlevel: x', ['2:1: a tab cannot indent: use spaces']],
  [
    'a tab, and something else',
    '\tname: x\nlog: { level: x }',
    ['1:1: a tab cannot indent: use spaces', `2:15: ${LEVEL}`],
  ],
  [
    'a quote that is not closed',
    'log: { level: x }\nname: "Larder\ndevices: 5\n',
    [`1:15: ${LEVEL}`, '2:7: a quote or a bracket that opens here is not closed'],
  ],
  [
    'a bracket that is not closed',
    'listeners: [mqtt://a,\nlog: { level: x }\n',
    ['1:12: a quote or a bracket that opens here is not closed'],
  ],
  [
    'a bracket without its partner',
    'log: { level: x }\n]\nname: 5\nlog: 5',
    [`1:15: ${LEVEL}`, '2:1: nothing can stand here: a bracket has no partner, or a line has lost its indentation'],
  ],
  [
    'a missing comma',
    'log: { level: info format: json }\nname: 5',
    [expect.stringContaining('1:15: a comma, or the space'), expect.stringContaining('2:7: name: must be text')],
  ],
  ['a line that is indented too far', 'name: Larder\n  log: { level: x }', [`1:7: ${NOT_A_PAIR}`]],
  [
    'a line that is indented too little',
    'log: { level: x }\nstore:\n    commit_delay: 1ms\n  durability: ack',
    [`1:15: ${LEVEL}`, '4:1: this line is not indented as its neighbours are'],
  ],
  ['a colon in a value', 'log: { level: x }\nname: a: b', [`1:15: ${LEVEL}`, `2:7: ${NOT_A_PAIR}`]],
  ['a line without a colon', 'log: { level: x }\nname\nstore: {}', [`1:15: ${LEVEL}`, `2:1: ${NOT_A_PAIR}`]],
  [
    'a character that means something',
    'name: @home\nlog: { level: x }',
    ['1:7: a value cannot begin with this character: put it in quotes', `2:15: ${LEVEL}`],
  ],
  [
    'an escape that is none',
    'name: "a\\qb"',
    ['1:9: in double quotes a \\ begins an escape such as \\n: write \\\\, or use single quotes'],
  ],
  [
    'text behind a quote',
    "name: 'it's'",
    [
      '1:11: this does not belong to the value before it: put the whole value in quotes (a quote in it is written twice)',
    ],
  ],
  [
    'a comment without a space',
    'name: "a"#b',
    ['1:10: a # that begins a comment needs a space before it; one that does not goes into quotes'],
  ],
  ['a key that is a list', '[a]: b', [expect.stringContaining('1:1: a key must be plain text')]],
  [
    'a tag',
    'name: !secret x\nlog: { level: x }',
    [
      '1:7: a tag (a word that begins with !) means nothing here: leave it out, or put the value in quotes',
      `2:15: ${LEVEL}`,
    ],
  ],
  ['two documents', 'name: a\n---\nname: 5', [expect.stringContaining('a second document begins before this')]],
  [
    'times without quotes',
    'schedules:\n  - cron: */5 * * * *\n    poll: A\nlog: { level: x }',
    [`2:11: schedules[0].cron: '*/5' ${STAR}`, `4:15: ${LEVEL}`],
  ],
  [
    'an alias of what comes later',
    'name: *a\nlog: { level: &a x }',
    [expect.stringContaining("1:7: name: '*a' is read as a reference, but no &a"), `2:18: ${LEVEL}`],
  ],
  [
    'an alias of what it is in',
    'name: &a [*a]',
    [
      '1:10: name: must be text, such as Larder; found a list',
      "1:11: name[0]: '*a' refers to a value that it is itself a part of",
    ],
  ],
  [
    'a merge of no map',
    'log:\n  <<: 5',
    ['2:3: log["<<"]: << takes a map, or a list of maps, that an alias such as *name refers to'],
  ],
])('%s', (_, text, faults) => {
  expect(faultsOf(text)).toEqual(faults)
})

test('a bomb of aliases is refused', () => {
  const lines = ['x: &a0 [0]']
  for (let i = 1; i <= 9; i++) lines.push(`x${i}: &a${i} [${`*a${i - 1}, `.repeat(10)}]`)
  const faults = faultsOf(lines.join('\n'))
  expect(faults).toContain('6:9: x5: stands for more than 100000 values, aliases followed: nothing here needs that')
})

test.each([
  ['brackets', '['.repeat(100_000)],
  ['braces', '{a: '.repeat(100_000)],
  ['dashes', '- '.repeat(100_000)],
  ['indentation', Array.from({ length: 400 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
])('a tower of %s is refused before it can do harm', (_, text) => {
  expect(faultsOf(text)).toEqual([expect.stringContaining('more than 50 lists and maps inside each other')])
})
