/** Sensors that speak only when they are asked, on real pseudo-terminals: a scripted device at the far end, which answers late or not at all. */
import { setTimeout as pause } from 'node:timers/promises'
import { SerialPort } from 'serialport'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Codec, CodecEvents } from '../../device/codecs/codec.ts'
import { wireTime } from '../../device/serial/connection.ts'
import { Conversation } from '../../device/serial/conversation.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { needs } from '../support/needs.ts'
import { openPty, type Pty } from '../support/pty.ts'
import { SERIAL, SerialRig } from '../support/serial-rig.ts'
import { until } from '../support/wait.ts'

/** Lets questions pass and writes answers when the test says so. */
class Device {
  readonly heard: string[] = []
  readonly #cable: Pty
  #open = true

  /** `answer` is told each line and its number, and gives what is said and after how many ms; undefined says nothing. */
  constructor(cable: Pty, answer: (line: string, count: number) => { say: string; after?: number } | undefined) {
    this.#cable = cable
    void this.#listen(answer)
  }

  count(count: number): Promise<true> {
    return until(() => this.heard.length >= count, { what: () => `${count} lines; heard ${this.heard}` })
  }

  stop(): void {
    this.#open = false
  }

  async #listen(answer: ConstructorParameters<typeof Device>[1]): Promise<void> {
    while (this.#open) {
      const line = await this.#cable.nextLine().catch(() => undefined)
      if (line === undefined) continue
      const { say, after = 0 } = answer(line, this.heard.push(line)) ?? {}
      if (say === undefined) continue
      if (after > 0) void pause(after).then(() => this.#cable.write(say))
      else this.#cable.write(say)
    }
  }
}

describe.skipIf(!needs('socat'))('a device that has to be asked', () => {
  let cable: Pty
  let device: Device | undefined
  const rig = new SerialRig()

  beforeEach(async () => {
    cable = await openPty()
  })
  afterEach(async () => {
    device?.stop()
    await rig.stop()
    await cable.close()
  })

  const script = (...args: [ConstructorParameters<typeof Device>[1]]) => {
    device = new Device(cable, ...args)
    return device
  }

  it('is asked at once, and at every beat, and when somebody wants to know', async () => {
    const device = script((_, count) => ({ say: `${count}\n` }))
    const { seen, source } = await rig.start({ path: cable.path, codec: 'number', ask: ['T?\n'], every: 100 })
    expect(seen.states).toEqual(['online'])
    await seen.count(3)
    expect(seen.values.slice(0, 3)).toEqual([1, 2, 3])
    await source.stop()
    expect(new Set(device.heard)).toEqual(new Set(['T?']))

    const patient = await rig.start({ path: cable.path, codec: 'number', ask: ['T?\n'], every: 60_000 })
    await patient.source.poll?.() // perhaps the end of the first round
    const before = device.heard.length
    await Promise.all([patient.source.poll?.(), patient.source.poll?.()])
    expect(device.heard.length).toBe(before + 1)
    expect(patient.seen.faults).toEqual([])
  })

  it('is asked all its questions in turn', async () => {
    const device = script(line => ({ say: `${line}:1\n` }))
    const { seen } = await rig.start({ path: cable.path, ask: ['a\n', 'b\n', 'c\n'], every: 60_000 })
    await seen.count(3)
    expect(seen.values).toEqual([{ a: 1 }, { b: 1 }, { c: 1 }])
    expect(device.heard).toEqual(['a', 'b', 'c'])
  })

  it('gets commands between two questions, never before an answer', async () => {
    const log: string[] = []
    const device = script(line => {
      log.push(line)
      if (line !== 'T?') return undefined
      return { say: '1\n', after: 50 }
    })
    const { source, seen } = await rig.start({ path: cable.path, codec: 'number', ask: ['T?\n', 'T?\n'], every: 100 })
    const readings: number[] = []
    for (let n = 0; n < 5; n++) {
      await device.count(log.length + 1)
      await source.command(`on ${n}`)
      await until(() => log.includes(`on ${n}`), { what: () => `the command; ${log}` })
      // All questions before it were answered when it came.
      readings.push(log.slice(0, log.indexOf(`on ${n}`)).filter(line => line === 'T?').length - seen.values.length)
    }
    expect(Math.max(...readings)).toBeLessThanOrEqual(0)
    expect(seen.faults).toEqual([])
  })

  it('that answers late: what comes late is dropped, and what comes in time is its own', async () => {
    // Each answer says which question it is for; the first of every question comes after its time.
    const device = script((line, count) => ({ say: `${line}:${count}\n`, after: count % 2 === 1 ? 450 : 0 }))
    const { seen } = await rig.start({ path: cable.path, ask: ['a\n', 'b\n'], every: 60_000, timeout: 300, retries: 1 })
    await seen.count(2)
    expect(device.heard).toEqual(['a', 'a', 'b', 'b'])
    expect(seen.values).toEqual([{ a: 2 }, { b: 4 }])
    expect(seen.faults).toEqual(Array(2).fill('an answer came later than 0.3 s after its question and was dropped'))
  })

  it('that is slower than twice its time never answers one question with the answer to another', async () => {
    const device = script((line, count) => ({ say: `${line}:${count}\n`, after: 500 }))
    const readings: { asked: number; said: string }[] = []
    const faults: string[] = []
    const conversation = new Conversation({
      SerialPort,
      path: cable.path,
      line: SERIAL,
      gap: 0,
      questions: { every: 60_000, timeout: 200, retries: 3 },
      makeCodec: events => twoQuestions(events, readings),
      events: { reading() {}, fault: reason => faults.push(reason), heard() {}, unanswered() {} },
      clock: systemClock,
    })
    await conversation.open()
    try {
      await conversation.poll()
    } finally {
      await conversation.close()
    }
    expect(device.heard.length).toBeGreaterThan(2)
    expect(readings.map(({ asked, said }) => said.startsWith('ab'[asked] ?? '-'))).toEqual([true, true])
  })

  it('that does not answer is offline with its reason, is opened anew, and is online with its first answer', async () => {
    let mute = true
    const device = script(() => (mute ? undefined : { say: '7\n' }))
    const settings = {
      path: cable.path,
      codec: 'number',
      ask: ['T?\n'],
      every: 60_000,
      timeout: 50,
      retries: 1,
    } as const
    const { seen, source } = await rig.start(settings)
    expect(seen.states).toEqual([`offline: ${cable.path} does not answer`])
    expect(seen.faults[0]).toBe('the question was asked 2 times and not answered within 0.05 s')
    expect(device.heard.length).toBeGreaterThanOrEqual(2)
    mute = false
    await seen.is('online')
    expect(seen.states).toHaveLength(2)
    expect(seen.values).toEqual([7])
    mute = true
    await expect(source.poll?.()).rejects.toThrow(`${cable.path} did not answer`)
    expect(seen.state).toBe('online') // one round may be lost
    await source.poll?.().catch(() => {})
    await source.poll?.().catch(() => {})
    await seen.is(`offline: ${cable.path} does not answer`)
  })

  it('that hangs without a close is found out by its silence', async () => {
    script((_, count) => ({ say: `${count}\n` }))
    const settings = { path: cable.path, codec: 'number', ask: ['T?\n'], every: 50, timeout: 100, retries: 0 } as const
    const { seen } = await rig.start(settings)
    await seen.count(2)
    cable.stall()
    await seen.is(/^offline: .* does not answer$/)
    await cable.replug()
    await seen.is('online')
  })

  it('that is unplugged in the middle of an answer gives none, and nothing is glued to the next', async () => {
    script((_, count) => ({ say: count === 2 ? '99' : `${count}\n` }))
    const { seen } = await rig.start({ path: cable.path, codec: 'number', ask: ['T?\n'], every: 100, retries: 0 })
    await until(() => (device?.heard.length ?? 0) >= 2, { what: 'the second question' })
    await cable.unplug()
    await seen.is(/was unplugged$/)
    await cable.replug()
    await seen.count(2)
    expect(seen.values.slice(0, 2)).toEqual([1, 3])
  })

  it('that is asked when it is away says so', async () => {
    script(() => ({ say: '1\n' }))
    const { seen, source } = await rig.start({ path: cable.path, codec: 'number', ask: ['T?\n'] })
    await cable.unplug()
    await seen.is(/^offline/)
    await expect(source.poll?.()).rejects.toThrow(`${cable.path} is not connected`)
  })

  it('is stopped at once, in the middle of a question', async () => {
    const device = script(() => undefined)
    const { source, started, seen } = rig.begin({ path: cable.path, codec: 'number', ask: ['T?\n'], timeout: 30_000 })
    await device.count(1)
    await source.stop()
    await started
    expect(seen.faults).toEqual([])
  })
})

describe.skipIf(!needs('socat'))('pacing', () => {
  const rig = new SerialRig()
  afterEach(() => rig.stop())

  it('leaves each write the time to leave the port, and the gap behind it', async () => {
    await using cable = await openPty()
    const [baud, gap, count] = [1200, 40, 4]
    const { source } = await rig.start({ path: cable.path, baud, gap })
    const began = performance.now()
    const sent = Promise.all(Array.from({ length: count }, (_, n) => source.command(`command ${n}`)))
    for (let n = 0; n < count; n++) expect(await cable.nextLine()).toBe(`command ${n}`)
    // 10 bits a byte at 1,200 baud: 83 ms for each of the first three, and 40 between them.
    const least = (count - 1) * (wireTime('command 0\n'.length, { ...SERIAL, baud }) + gap)
    expect(performance.now() - began).toBeGreaterThan(least - count)
    await sent
  })

  it('waits until a device that talks has finished', async () => {
    await using cable = await openPty()
    const { source, seen } = await rig.start({ path: cable.path, gap: 200 })
    cable.write('\na:1\n')
    await seen.count(1)
    const heard = performance.now()
    await source.command('x')
    expect(performance.now() - heard).toBeGreaterThan(150)
  })
})

/** A codec as Modbus is one: the answer does not say what it is for. It notes which question it took it for. */
function twoQuestions(events: CodecEvents, readings: { asked: number; said: string }[]): Codec {
  let asked = 0
  let held = ''
  return {
    questions: [Buffer.from('a\n'), Buffer.from('b\n')],
    asked(index) {
      asked = index
      held = ''
    },
    push(chunk) {
      held += chunk
      if (!held.includes('\n')) return
      readings.push({ asked, said: held })
      events.answered()
    },
  }
}
