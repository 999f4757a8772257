import { expect, test } from 'vitest'
import type { Command } from '../../../src/cli/larder.ts'
import { Terminal } from './terminal.ts'

function terminal() {
  const ran: unknown[] = []
  const command = (name: string, status: number): Command => ({
    summary: `does ${name}`,
    examples: [[`larder ${name}`, 'to do it']],
    flags: {
      config: { type: 'string', short: 'c', value: 'FILE', help: 'the file' },
      loud: { type: 'boolean', help: 'says more' },
    },
    async run(flags) {
      ran.push([name, { ...flags }])
      return status
    },
  })
  const commands = { start: command('start', 0), check: command('check', 7) }
  return { terminal: new Terminal({ commands }), ran }
}

test.each<[argv: string[], status: number, ran: unknown]>([
  [[], 0, ['start', {}]],
  [['-c', 'x.yaml'], 0, ['start', { config: 'x.yaml' }]],
  [['start', '--config=x.yaml', '--loud'], 0, ['start', { config: 'x.yaml', loud: true }]],
  [['check', '-cx.yaml'], 7, ['check', { config: 'x.yaml' }]],
])('%j runs', async (argv, status, expected) => {
  const { terminal: here, ran } = terminal()
  expect(await here.run(...argv)).toBe(status)
  expect(ran).toEqual([expected])
  expect([here.out, here.err]).toEqual([[], []])
})

test.each<[argv: string[], line: string]>([
  [['strat'], "larder: there is no command 'strat'; did you mean start?"],
  [['explode'], "larder: there is no command 'explode'; larder --help shows what there is"],
  [['constructor'], "larder: there is no command 'constructor'; larder --help shows what there is"],
  [['check', '--confg', 'x'], 'larder: check has no flag --confg; did you mean --config?'],
  [['check', '--no-such-thing'], 'larder: check has no flag --no-such-thing; larder --help shows what there is'],
  [['-x'], 'larder: start has no flag -x; larder --help shows what there is'],
  [['check', '-c'], expect.stringMatching(/^larder: check: .*--config.*; larder --help shows what there is$/)],
  [['check', '-c', ''], 'larder: check: --config is empty, but should be a FILE; larder --help shows what there is'],
  [['check', '--loud=yes'], expect.stringMatching(/^larder: check: .*--loud.*; larder --help shows what there is$/)],
  [['check', 'x.yaml'], expect.stringMatching(/^larder: check: .*x\.yaml.*; larder --help shows what there is$/)],
])('%j is not understood', async (argv, line) => {
  const { terminal: here, ran } = terminal()
  expect(await here.run(...argv)).toBe(2)
  expect([here.out, here.err, ran]).toEqual([[], [line], []])
})

test('help and version', async () => {
  const { terminal: here, ran } = terminal()
  expect(await here.run('--version')).toBe(0)
  expect(here.out.splice(0)).toEqual(['1.2.3'])
  expect(await here.run('--help')).toBe(0)
  expect(here.out.splice(0)).toEqual([
    'larder [COMMAND] [FLAGS]',
    '',
    '  start  does start',
    '  check  does check',
    '',
    '  --help     show this; behind a command, show its flags',
    '  --version  show the version',
    '',
    'Without a command it is larder start.',
    'Exit status: 0 done; 1 it could not be done; 2 the command line was not understood.',
  ])
  expect(await here.run('check', '-h')).toBe(0)
  expect(here.out.splice(0)).toEqual([
    'larder check [FLAGS]',
    '',
    'does check',
    '',
    '  -c, --config FILE  the file',
    '  --loud             says more',
    '  -h, --help         show this and do nothing else',
    '',
    '  larder check  to do it',
    '',
    'Exit status: 0 done; 1 it could not be done; 2 the command line was not understood.',
  ])
  expect([here.err, ran]).toEqual([[], []])
})
