import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type FileSettings, FileSource } from '../../../device/sysfs/file-source.ts'
import { ReadGate } from '../../../device/sysfs/read-gate.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { SourceRecorder } from '../../support/source-recorder.ts'

/** What the kernel's w1_therm shows for 23.125 degrees. */
const ONE_WIRE = '72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n72 01 4b 46 7f ff 0e 10 57 t=23125\n'

let folder: string
let path: string
let clock: ManualClock
let heard: SourceRecorder
let source: FileSource

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-file-'))
  path = join(folder, 'value')
  clock = new ManualClock()
  heard = new SourceRecorder()
})

afterEach(async () => {
  await source.stop()
  expect(clock.pending, 'timers left after stop').toBe(0)
  await rm(folder, { recursive: true })
})

/** Starts the source and waits for its first answer. */
async function start(settings: Partial<FileSettings> = {}, gate?: ReadGate): Promise<void> {
  source = new FileSource({ settings: { path, every: 30_000, ...settings }, clock, ...(gate ? { gate } : {}) })
  await source.start(heard, new AbortController().signal)
  if (gate === undefined) await source.poll()
}

describe('what is read', () => {
  test.each([
    ['21500\n', 21500],
    ['  -3.5 °C', -3.5],
    ['humidity: .25', 0.25],
    ['1.5e3 lx', 1500],
    ['+7', 7],
    ['0', 0],
  ])('%j has the first number %d', async (text, value) => {
    await writeFile(path, text)
    await start()
    expect(heard.heard).toEqual([{ up: true }, { value }])
  })

  test('the group of a pattern', async () => {
    await writeFile(path, ONE_WIRE)
    await start({ pattern: 'YES[\\s\\S]*t=(-?\\d+)' })
    expect(heard.values).toEqual([23125])
  })

  test('a group that is no number is text', async () => {
    await writeFile(path, 'POWER_SUPPLY_STATUS=Charging\n')
    await start({ pattern: 'STATUS=(\\w+)' })
    expect(heard.values).toEqual(['Charging'])
  })

  test('a file without a match is a fault, and the source goes on', async () => {
    await writeFile(path, ONE_WIRE.replace('YES', 'NO'))
    await start({ pattern: 'YES[\\s\\S]*t=(-?\\d+)' })
    expect(heard.faults).toEqual([expect.stringContaining(`${path} has nothing that matches`)])
    await writeFile(path, ONE_WIRE)
    await source.poll()
    expect(heard.values).toEqual([23125])
  })

  test('at most 64 KiB of it', async () => {
    await writeFile(path, `${' '.repeat(64 * 1024)}42`)
    await start()
    expect(heard.values).toEqual([])
    expect(heard.faults).toHaveLength(1)
    await writeFile(path, `${' '.repeat(64 * 1024 - 2)}42`)
    await source.poll()
    expect(heard.values).toEqual([42])
  })

  test('a file of the kernel, which gives its length as 0', async () => {
    await start({ path: '/proc/uptime' })
    expect(heard.values).toEqual([expect.any(Number)])
    expect(heard.values[0]).toBeGreaterThan(0)
  })
})

describe('when it is read', () => {
  test('at once, and then at every beat', async () => {
    await writeFile(path, '1')
    await start({ every: 1000 })
    expect(heard.values).toEqual([1])
    await writeFile(path, '2')
    await clock.advance(999)
    expect(heard.values).toEqual([1])
    const read = heard.more()
    await clock.advance(1)
    await read
    await source.poll()
    expect(heard.values.slice(1)).toContain(2)
  })

  test('never twice at once, however often it is asked', async () => {
    await writeFile(path, '1')
    const gate = new ClosedGate()
    await start({ every: 1000 }, gate)
    await clock.advance(5_000)
    const polls = [source.poll(), source.poll()]
    expect(gate.passed).toBe(1)
    gate.open()
    await Promise.all(polls)
    expect(heard.values).toEqual([1])
  })
})

describe('a device that is away', () => {
  test('a missing file is reported with its reason, and heals', async () => {
    await start()
    expect(heard.heard).toEqual([{ up: false, reason: expect.stringContaining('ENOENT') }])
    await writeFile(path, '5')
    await source.poll()
    expect(heard.heard.slice(1)).toEqual([{ up: true }, { value: 5 }])
  })

  test('a folder is no file', async () => {
    await start({ path: folder })
    expect(heard.reason).toContain('EISDIR')
  })

  test('a pipe without a writer is not waited for', async () => {
    execFileSync('mkfifo', [path])
    await start()
    expect(heard.faults).toHaveLength(1)
  })

  test('a read that hangs is reported once, and its late answer heals', async () => {
    await writeFile(path, '8')
    const gate = new ClosedGate()
    await start({ every: 1000 }, gate)
    await clock.advance(9_999)
    expect(heard.heard).toEqual([])
    await clock.advance(60_000)
    expect(heard.heard).toEqual([{ up: false, reason: `reading ${path} takes longer than 10 s` }])
    await source.poll()
    const answered = heard.more()
    gate.open()
    await answered
    expect(heard.up).toBe(true)
    await expect.poll(() => heard.values).toEqual([8])
  })

  test('an answer that comes after the stop is not reported', async () => {
    await writeFile(path, '8')
    const gate = new ClosedGate()
    await start({}, gate)
    await source.stop()
    gate.open()
    await gate.idle
    expect(heard.heard).toEqual([])
  })
})

/** Holds reads back until it is opened: a bus that is stuck. */
class ClosedGate extends ReadGate {
  passed = 0
  open: () => void = () => {}
  idle: Promise<unknown> = Promise.resolve()
  readonly #opened = new Promise<void>(resolve => {
    this.open = resolve
  })

  override pass<T>(read: () => Promise<T>): Promise<T> {
    this.passed++
    const done = super.pass(async () => {
      await this.#opened
      return read()
    })
    this.idle = done
    return done
  }
}

test('the gate lets two reads happen at once and the others in turn', async () => {
  source = new FileSource({ settings: { path, every: 1000 }, clock })
  const gate = new ReadGate()
  const ends: (() => void)[] = []
  let running = 0
  let most = 0
  const reads = Array.from({ length: 6 }, () =>
    gate.pass(async () => {
      most = Math.max(most, ++running)
      await new Promise<void>(resolve => ends.push(resolve))
      running--
    }),
  )
  for (let done = 0; done < 6; done++) {
    await expect.poll(() => ends.length).toBeGreaterThan(0)
    ends.shift()?.()
  }
  await Promise.all(reads)
  expect(most).toBe(2)
  // A read that fails gives its place back as well.
  await expect(gate.pass(() => Promise.reject(new Error('EIO')))).rejects.toThrow('EIO')
  await expect(gate.pass(async () => 'done')).resolves.toBe('done')
})
