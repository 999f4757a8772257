/**
 * The serial source on real pseudo-terminals: what a person does to a cable, and what noise does to a line. What is written first
 * begins with a line end, because a codec of lines does not trust the first one otherwise.
 */
import { rmSync, symlinkSync } from 'node:fs'
import { SerialPort } from 'serialport'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MAX_PENDING_TURNS, WRITE_DEADLINE_MS } from '../../device/serial/connection.ts'
import { RETRY_MAX_MS, RETRY_MIN_MS, SerialSource } from '../../device/serial/serial-source.ts'
import { type Clock, systemClock } from '../../src/kernel/clock.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { needs } from '../support/needs.ts'
import { openPty, type Pty } from '../support/pty.ts'
import { never, Recorder, SERIAL, SerialRig, type SomeSettings } from '../support/serial-rig.ts'
import { until } from '../support/wait.ts'

describe.skipIf(!needs('socat'))('a serial device', () => {
  let cable: Pty
  const rig = new SerialRig()

  beforeEach(async () => {
    cable = await openPty()
  })
  afterEach(async () => {
    await rig.stop()
    await cable.close()
  })

  const start = (settings: SomeSettings = {}, clock: Clock = systemClock) =>
    rig.start({ path: cable.path, ...settings }, { clock })

  it('is online when it is open, though silent, and gives readings', async () => {
    const { seen } = await start()
    expect(seen.states).toEqual(['online'])
    cable.write('\ntemp:21.5 hum:40\r\n\r\n\ntemp:21.6\n')
    await seen.count(2)
    expect(seen.values).toEqual([{ temp: 21.5, hum: 40 }, { temp: 21.6 }])
    expect(seen.faults).toEqual([])
  })

  it('loses only the lines that are bad', async () => {
    const { seen } = await start()
    cable.write('\na:1\n')
    cable.write(Buffer.of(0x00, 0xff, 0xfe, 0x80, 0x0d, 0x07, 0x0a))
    cable.write(`a:${'9'.repeat(3 * SERIAL.maxLine)}\n`)
    cable.write('a:2\n')
    await seen.count(2)
    expect(seen.values).toEqual([{ a: 1 }, { a: 2 }])
    expect(seen.faults).toHaveLength(2)
    expect(seen.faults[0]).toContain('no key and value')
    expect(seen.faults[1]).toBe('a line of more than 64 bytes was dropped')
  })

  it('heals after it was unplugged in the middle of a line, and glues nothing', async () => {
    const { seen } = await start()
    cable.write('\ntemp:1\ntemp:2')
    await seen.count(1)
    await cable.unplug()
    await seen.is(/^offline: .* was unplugged$/)
    await cable.replug()
    await seen.is('online')
    cable.write('3\ntemp:4\n')
    await seen.count(2)
    expect(seen.values).toEqual([{ temp: 1 }, { temp: 4 }])
    expect(seen.faults).toEqual([])
  })

  it('heals again and again', async () => {
    const { seen } = await start()
    for (let round = 1; round <= 5; round++) {
      await seen.is('online')
      cable.write(`\nn:${round}\n`)
      await seen.count(round)
      await cable.unplug()
      await seen.is(/^offline/)
      await cable.replug()
    }
    await seen.is('online')
    expect(seen.values).toEqual([1, 2, 3, 4, 5].map(n => ({ n })))
  })

  it('may be missing at the start: says so once, and is found when it comes', async () => {
    const path = `${cable.path}-later`
    const { seen } = await start({ path })
    expect(seen.states).toEqual([`offline: ${path} is not there`])
    symlinkSync(cable.path, path)
    await seen.is('online')
    expect(seen.states).toHaveLength(2)
  })

  it('is noticed gone when its path goes, though the port gives no close', async () => {
    const path = `${cable.path}-link`
    symlinkSync(cable.path, path)
    const { seen } = await start({ path })
    rmSync(path)
    await seen.is(`offline: ${path} is gone`)
    symlinkSync(cable.path, path)
    await seen.is('online')
    cable.write('\na:1\n')
    await seen.count(1)
  })

  it('is opened anew when its path leads to another device', async () => {
    await using other = await openPty()
    const path = `${cable.path}-link`
    symlinkSync(cable.path, path)
    const { seen } = await start({ path })
    cable.write('\na:1\nhalf')
    await seen.count(1)
    rmSync(path)
    symlinkSync(other.path, path)
    await until(() => seen.states.length === 3, { what: () => `offline and online; ${seen}` })
    expect(seen.states[1]).toMatch(/is another device now$|is gone$/)
    other.write('\nb:2\n')
    await seen.count(2)
    cable.write('a:3\n')
    other.write('b:4\n')
    await seen.count(3)
    expect(seen.values).toEqual([{ a: 1 }, { b: 2 }, { b: 4 }])
  })

  it('is offline after silence, is opened anew meanwhile, and online when it speaks', async () => {
    const { seen } = await start({ silence: 300 })
    await seen.is(`offline: ${cable.path} has said nothing for 0.3 s`)
    await until(
      () => {
        cable.write('\na:1\n')
        return seen.state === 'online'
      },
      { what: () => `online; ${seen}`, every: 50 },
    )
    expect(seen.values[0]).toEqual({ a: 1 })
    expect(seen.states).toHaveLength(3)
  })

  it('stays online while it speaks often enough', async () => {
    const silence = 5000
    const clock = new ManualClock()
    const { seen } = await start({ silence }, clock)
    for (let n = 1; n <= 5; n++) {
      await clock.advance(silence - 1000)
      cable.write(`\nn:${n}\n`)
      await seen.count(n)
    }
    expect(seen.states).toEqual(['online'])
    await until(
      async () => {
        await clock.advance(silence)
        return seen.states.length > 1
      },
      { what: 'its silence to be noticed' },
    )
    expect(seen.states[1]).toBe(`offline: ${cable.path} has said nothing for 5 s`)
  })

  it('takes commands, each with its line ending, in order', async () => {
    const { source } = await start({ writeLineEnding: '\r\n' })
    await Promise.all(['relay on', 'relay off', 'größer'].map(command => source.command(command)))
    expect([await cable.nextLine(), await cable.nextLine(), await cable.nextLine()]).toEqual([
      'relay on',
      'relay off',
      'größer',
    ])
  })

  it('refuses commands while it is away, and does not send them later', async () => {
    const { source, seen } = await start()
    await cable.unplug()
    await seen.is(/^offline/)
    await expect(source.command('stale')).rejects.toThrow(`${cable.path} is not connected`)
    await cable.replug()
    await seen.is('online')
    await source.command('fresh')
    expect(await cable.nextLine()).toBe('fresh')
  })

  it('that hangs gives its commands back and is opened anew, and what hung is not sent later', async () => {
    const clock = new ManualClock()
    const { source, seen } = await start({}, clock)
    cable.stall()
    const outcomes = Array.from({ length: MAX_PENDING_TURNS + 1 }, (_, i) =>
      source.command(`${i}${'x'.repeat(100_000)}`).then(
        () => 'sent',
        error => error.message as string,
      ),
    )
    expect(await outcomes.at(-1)).toBe(`${cable.path} still has ${MAX_PENDING_TURNS} commands to send`)
    await clock.advance(WRITE_DEADLINE_MS)
    const refused = new Set(await Promise.all(outcomes.slice(0, -1)))
    expect([...refused]).toEqual([`${cable.path} takes no more bytes before the command was sent`])
    await seen.is(`offline: ${cable.path} takes no more bytes`)
    await cable.replug()
    await until(
      async () => {
        await clock.advance(RETRY_MAX_MS)
        return seen.state === 'online'
      },
      { what: () => `online; ${seen}` },
    )
    await source.command('fresh')
    expect(await cable.nextLine()).toBe('fresh')
  })

  it('stops though a command hangs', async () => {
    const { source } = await start()
    cable.stall()
    const outcome = expect(source.command('x'.repeat(100_000))).rejects.toThrow(
      'was closed before the command was sent',
    )
    await source.stop()
    await outcome
  })

  it('that another has open says so, and is taken when it is free', async () => {
    const first = await start()
    const second = await start()
    expect(second.seen.states).toEqual([`offline: ${cable.path} is in use by another program or device`])
    await first.source.stop()
    await second.seen.is('online')
    cable.write('\na:1\n')
    await second.seen.count(1)
    expect(first.seen.values).toEqual([])
  })

  it('that is no serial port says so', async () => {
    const { seen } = await start({ path: import.meta.filename })
    expect(seen.state).toContain(`${import.meta.filename} cannot be opened: `)
  })

  it('that is there and cannot be opened is tried again, with growing pauses', async () => {
    const clock = new ManualClock()
    const seen = new Recorder()
    let tries = 0
    class CountingPort extends SerialPort {
      override open(done: (error: Error | null) => void): void {
        tries++
        super.open(done)
      }
    }
    const source = new SerialSource({
      settings: { ...SERIAL, path: import.meta.filename },
      clock,
      load: () => Promise.resolve(CountingPort),
    })
    rig.add(source)
    await source.start(seen, never)
    const minutes = 2
    for (let waited = 0; waited < minutes * 60_000; waited += RETRY_MIN_MS) {
      await until(() => clock.pending === 1, { what: 'the pause before the next try', every: 1 })
      await clock.advance(RETRY_MIN_MS)
    }
    // Six tries on the way up, then one every ten seconds, a fifth of which may be missing.
    expect(tries).toBeGreaterThanOrEqual(6 + 11)
    expect(tries).toBeLessThanOrEqual(6 + 15)
    expect(seen.states).toHaveLength(1)
  })

  it('stops quickly and is silent afterwards, also in the middle of opening', async () => {
    const { source, seen } = await start()
    await source.stop()
    cable.write('\na:1\n')
    expect(seen.values).toEqual([])
    expect(seen.states).toEqual(['online'])
    await expect(source.command('x')).rejects.toThrow('not connected')

    const abort = new AbortController()
    const late = new SerialSource({ settings: { ...SERIAL, path: cable.path }, clock: systemClock })
    const starting = late.start(seen, abort.signal)
    abort.abort(new Error('enough'))
    await expect(starting).rejects.toThrow('enough')
    const next = await start()
    expect(next.seen.states).toEqual(['online'])
  })
})

describe('without the driver', () => {
  it('a serial device says what to install', async () => {
    const source = new SerialSource({
      settings: { ...SERIAL, path: '/dev/ttyUSB0' },
      clock: systemClock,
      load: () => Promise.reject(new Error("Cannot find package 'serialport'\nRequire stack: …")),
    })
    await expect(source.start(new Recorder(), never)).rejects.toMatchObject({
      code: 'DRIVER_MISSING',
      message: 'the driver for serial ports cannot be loaded, so /dev/ttyUSB0 is not read',
      hint: 'Install it with "npm install serialport" (Cannot find package \'serialport\').',
    })
  })
})
