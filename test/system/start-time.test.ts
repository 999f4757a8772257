/**
 * How long a start takes, how much an idle gateway holds and how much program text it loads. Memory and text are promises;
 * the time is told, not judged.
 */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { ROOT, startGateway } from '../support/gateway.ts'
import { residentMemory } from '../support/procfs.ts'
import { until } from '../support/wait.ts'

const STARTS = 5
/** The figures of the project: ms to ready on the development machine, and bytes of an idle gateway. */
const START_GOAL = 700
const MEMORY_GOAL = 75e6
/** Samples of the memory, one every 100 ms: what an idle gateway holds, not what its start left for the collector. */
const SAMPLES = 30
/** Bytes of `dist/` that a start on the built-in configuration loads, when that was last looked at; a tenth more is allowed. */
const TEXT_LOADED = 1_293_000

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

const leftovers: AsyncDisposable[] = []
afterEach(async () => {
  for (const each of leftovers.splice(0)) await each[Symbol.asyncDispose]()
})

test(`the built bundle is ready soon, and holds less than ${MEMORY_GOAL / 1e6} MB when idle`, async () => {
  // The built-in configuration, as an owner starts it for the first time.
  const gateway = await startGateway()
  leftovers.push(gateway)
  const times: number[] = []
  for (let start = 0; start < STARTS; start++) {
    await gateway.stop()
    const begun = performance.now()
    await gateway.start()
    times.push(performance.now() - begun)
  }
  console.log(
    `start to ready: ${median(times).toFixed(0)} ms (median of ${STARTS}; ${times.map(ms => ms.toFixed(0)).join(', ')}); ` +
      `goal ${START_GOAL} ms`,
  )

  const samples: number[] = []
  await until(async () => samples.push(await residentMemory(gateway.pid)) >= SAMPLES, { what: 'samples', every: 100 })
  const memory = median(samples)
  console.log(
    `resident memory when idle: ${(memory / 1e6).toFixed(1)} MB (peak ${(Math.max(...samples) / 1e6).toFixed(1)} MB); ` +
      `goal ${MEMORY_GOAL / 1e6} MB`,
  )
  expect(memory).toBeLessThan(MEMORY_GOAL)
})

test('what V8 made of the program serves the next start; a damaged file is written anew', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'larder-caches-'))
  leftovers.push({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) })
  const gateway = await startGateway({ env: { XDG_CACHE_HOME: folder } })
  leftovers.push(gateway)
  const kept = join(folder, 'larder')
  // It takes its name when it is whole.
  const files = async () => (await readdir(kept).catch(() => [])).filter(name => name.endsWith('.code'))
  await until(async () => (await files()).length > 0, { what: 'the file' })
  const [name = ''] = await files()
  const file = join(kept, name)
  const { ino, size } = await stat(file)
  // Whatever a start misses is written, before it is ready or soon after: an orderly stop waits for neither, so two starts are looked at.
  for (let start = 0; start < 2; start++) await gateway.restart()
  expect(await stat(file)).toMatchObject({ ino, size })

  const bytes = await readFile(file)
  bytes.fill(0x5a, size >> 1)
  await writeFile(file, bytes)
  await gateway.restart()
  await until(async () => (await stat(file)).ino !== ino, { what: 'a new file' })
  expect((await stat(file)).size).toBeGreaterThan(size / 2)
})

test('the built bundle loads only what a plain broker uses, as text of one byte a character', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'larder-coverage-'))
  leftovers.push({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) })
  // V8 lists every script that it has run when the process ends.
  const gateway = await startGateway({ env: { NODE_V8_COVERAGE: folder } })
  leftovers.push(gateway)
  await gateway.stop()
  const scripts = new Set<string>()
  for (const name of await readdir(folder)) {
    const { result } = JSON.parse(await readFile(join(folder, name), 'utf8')) as { result: { url: string }[] }
    for (const { url } of result) if (url.startsWith('file:')) scripts.add(fileURLToPath(url))
  }
  const texts = new Map<string, Buffer>()
  for (const path of scripts) if (path.startsWith(join(ROOT, 'dist/'))) texts.set(path, await readFile(path))
  expect([...texts.keys()]).toContain(join(ROOT, 'dist/larder.js'))

  const bytes = [...texts.values()].reduce((sum, text) => sum + text.length, 0)
  console.log(`start loads ${bytes} bytes of program text in ${texts.size} files`)
  expect(
    bytes,
    `A start loads ${bytes} bytes of dist/, and TEXT_LOADED allows a tenth more than ${TEXT_LOADED}. Import what a plain ` +
      'broker does without where it is used (`await import`); if it cannot be done without, set TEXT_LOADED to the new figure.',
  ).toBeLessThan(TEXT_LOADED * 1.1)

  // One character beyond ASCII, in a regular expression, doubles what a file takes in memory: write it as an escape.
  const wide = [...texts].filter(([, text]) => text.some(byte => byte > 0x7f)).map(([path]) => path)
  expect(wide).toEqual([])
})
