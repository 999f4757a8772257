import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { replaceFile } from '../../../src/access/replace-file.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'larder-replace-'))
  file = join(folder, 'passwords')
})
afterEach(() => rmSync(folder, { recursive: true }))

const modeOf = (path: string) => statSync(path).mode & 0o777

test('a new file is its owner’s alone', async () => {
  expect(await replaceFile(file, 'text')).toBe(false)
  expect([readFileSync(file, 'utf8'), modeOf(file), readdirSync(folder)]).toEqual(['text', 0o600, ['passwords']])
})

test.each([
  [0o600, 0o600, false],
  [0o400, 0o600, false],
  [0o640, 0o640, false],
  [0o644, 0o600, true],
  [0o666, 0o600, true],
])('a file of mode %o becomes %o', async (before, after, isTightened) => {
  writeFileSync(file, 'old')
  chmodSync(file, before)
  expect(await replaceFile(file, 'new')).toBe(isTightened)
  expect([readFileSync(file, 'utf8'), modeOf(file)]).toEqual(['new', after])
})

test('whoever has the old file open goes on reading the old text', async () => {
  writeFileSync(file, 'old')
  const before = statSync(file).ino
  await replaceFile(file, 'new')
  expect(statSync(file).ino).not.toBe(before)
})

test('behind a symbolic link the target is replaced', async () => {
  const link = join(folder, 'link')
  writeFileSync(file, 'old')
  symlinkSync(file, link)
  await replaceFile(link, 'new')
  expect([lstatSync(link).isSymbolicLink(), readFileSync(file, 'utf8')]).toEqual([true, 'new'])
})

test('what fails leaves nothing behind', async () => {
  await expect(replaceFile(join(folder, 'none', 'passwords'), 'x')).rejects.toThrow('ENOENT')
  // Where a folder has the name, the last step fails.
  mkdirSync(join(folder, 'taken', 'full'), { recursive: true })
  await expect(replaceFile(join(folder, 'taken'), 'x')).rejects.toThrow()
  expect(readdirSync(folder)).toEqual(['taken'])
})

test.skipIf(process.getuid?.() !== 0)('root gives the file to whom it belonged', async () => {
  writeFileSync(file, 'old')
  chownSync(file, 1234, 4321)
  await replaceFile(file, 'new')
  expect(statSync(file)).toMatchObject({ uid: 1234, gid: 4321 })
})
