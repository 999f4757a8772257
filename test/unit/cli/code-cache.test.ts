/** What is kept of compiled code, with V8's own scripts and a real folder. */
import { chmod, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Script } from 'node:vm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CodeCache, cacheFolder } from '../../../src/cli/code-cache.ts'

const TEXTS = { './one.js': '(function () { return 1 })', './two.js': '(function () { return [2, "two"] })' }

let place: string
let folder: string
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'larder-code-'))
  folder = join(place, 'larder')
})
afterEach(() => rm(place, { recursive: true, force: true }))

/** A start: how many scripts were made from their texts alone. */
async function start(build = 'b1', names = Object.keys(TEXTS) as (keyof typeof TEXTS)[]): Promise<number> {
  const cache = new CodeCache(folder, build)
  let missed = 0
  for (const name of names) {
    const cachedData = cache.get(name)
    const script = new Script(TEXTS[name], { filename: name, ...(cachedData && { cachedData }) })
    expect(typeof script.runInThisContext()()).toBe(name === './one.js' ? 'number' : 'object')
    if (cachedData !== undefined && script.cachedDataRejected === false) continue
    missed++
    cache.missed(name, script)
  }
  expect(await cache.keep()).toBe(missed > 0)
  return missed
}

async function onlyFile(): Promise<string> {
  const names = await readdir(folder)
  expect(names).toHaveLength(1)
  return join(folder, names[0] ?? '')
}

test('the second start finds all of the first, and writes nothing', async () => {
  expect(await start()).toBe(2)
  const { mtimeMs, mode } = await stat(await onlyFile())
  expect(mode & 0o777).toBe(0o600)
  expect((await stat(folder)).mode & 0o777).toBe(0o700)
  expect(await start()).toBe(0)
  expect((await stat(await onlyFile())).mtimeMs).toBe(mtimeMs)
})

test('what a start did not load stays for the next', async () => {
  expect(await start('b1', ['./one.js'])).toBe(1)
  expect(await start('b1', ['./two.js'])).toBe(1)
  expect(await start()).toBe(0)
})

test('what is loaded when the start is over is not kept, and takes nothing away', async () => {
  const cache = new CodeCache(folder, 'b1')
  const script = (name: keyof typeof TEXTS) => new Script(TEXTS[name], { filename: name })
  cache.missed('./one.js', script('./one.js'))
  expect(await cache.keep()).toBe(true)
  cache.missed('./two.js', script('./two.js'))
  expect(await cache.keep()).toBe(false)
  const next = new CodeCache(folder, 'b1')
  expect([next.get('./one.js') !== undefined, next.get('./two.js')]).toEqual([true, undefined])
})

test('another build has a file of its own, and the oldest of many go', async () => {
  for (let build = 0; build < 8; build++) {
    expect(await start(`b${build}`)).toBe(2)
    const time = new Date(2026, 0, 1 + build)
    for (const name of await readdir(folder)) {
      if (name.startsWith(`b${build}`)) await utimes(join(folder, name), time, time)
    }
  }
  expect((await readdir(folder)).map(name => name.slice(0, 2)).sort()).toEqual(['b3', 'b4', 'b5', 'b6', 'b7'])
})

test('a file that is damaged anywhere, or cut off anywhere, counts for nothing and is written anew', async () => {
  await start()
  const file = await onlyFile()
  const whole = await readFile(file)
  // Every place of the head, and places all over the rest.
  for (let at = 0; at < whole.length; at += at < 64 ? 1 : 37) {
    const damaged = Buffer.from(whole)
    damaged[at] = (damaged[at] ?? 0) ^ (1 << (at & 7))
    for (const bytes of [damaged, whole.subarray(0, at)]) {
      await writeFile(file, bytes)
      expect(new CodeCache(folder, 'b1').get('./one.js')).toBeUndefined()
    }
  }
  expect(await start()).toBe(2)
  expect(await start()).toBe(0)
})

test('a file that others may write is not believed', async () => {
  await start()
  await chmod(await onlyFile(), 0o620)
  expect(await start()).toBe(2)
  expect((await stat(await onlyFile())).mode & 0o777).toBe(0o600)
  expect(await start()).toBe(0)
})

test('where nothing can be written, each start is a first one', async () => {
  await writeFile(folder, 'a file stands where the folder should')
  expect(await start()).toBe(2)
  expect(await start()).toBe(2)
  const nowhere = new CodeCache(undefined, 'b1')
  nowhere.missed('./one.js', new Script('1'))
  expect(await nowhere.keep()).toBe(false)
})

describe('its folder', () => {
  test.each([
    [{ XDG_CACHE_HOME: '/var/lib/larder/cache', HOME: '/root' }, '/var/lib/larder/cache/larder'],
    [{ HOME: '/home/pi' }, '/home/pi/.cache/larder'],
    [{ XDG_CACHE_HOME: 'relative', HOME: '/home/pi' }, '/home/pi/.cache/larder'],
    [{ HOME: '/home/pi', NODE_DISABLE_COMPILE_CACHE: '1' }, undefined],
    [{}, undefined],
  ])('%j', (env, expected) => {
    expect(cacheFolder(env)).toBe(expected)
  })
})
