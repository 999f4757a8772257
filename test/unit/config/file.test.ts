import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { faultLine } from '../../../src/config/load.ts'
import { load } from './loading.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'larder-config-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

function faultsOf(file: string): string[] {
  const result = load({ file, cwd })
  return 'faults' in result ? result.faults.map(faultLine) : []
}

test('a fault is told with the name that the owner gave the file', () => {
  mkdirSync(join(cwd, 'etc'))
  writeFileSync(join(cwd, 'etc/my.yaml'), 'name: 5')
  expect(faultsOf('etc/my.yaml')).toEqual([expect.stringMatching(/^etc\/my\.yaml:1:7: name: must be text/)])
})

test.each<[what: string, name: string, contents: string | Buffer | undefined, fault: string]>([
  ['is not there', 'none.yaml', undefined, 'there is no such file: check the name, or give another with -c FILE'],
  ['lies under a file', 'a/b.yaml', undefined, 'there is no such file: check the name, or give another with -c FILE'],
  ['is a folder', 'folder', undefined, 'this is a folder: give the file in it, such as larder.yaml'],
  ['is not UTF-8', 'x.yaml', Buffer.from('name: K\xfcche', 'latin1'), 'this is not UTF-8 text: save the file as UTF-8'],
  [
    'is no configuration',
    'x.yaml',
    '#'.repeat(2 ** 20 + 1),
    'is larger than 1 MiB, so it is no configuration: name the right file',
  ],
])('a file that %s is one fault', (_, name, contents, fault) => {
  writeFileSync(join(cwd, 'a'), '')
  mkdirSync(join(cwd, 'folder'))
  if (contents !== undefined) writeFileSync(join(cwd, name), contents)
  expect(faultsOf(name)).toEqual([`${name}:1:1: ${fault}`])
})
