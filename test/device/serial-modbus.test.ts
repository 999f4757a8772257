/** A Modbus device on a real pseudo-terminal: questions, writes and refusals over one wire, and answers that come too late. */
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ModbusRegister } from '../../device/codecs/settings.ts'
import { crc16 } from '../../device/codecs/sums.ts'
import { SerialSource } from '../../device/serial/serial-source.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { needs } from '../support/needs.ts'
import { openPty, type Pty } from '../support/pty.ts'
import { never, Recorder, SERIAL } from '../support/serial-rig.ts'

const REQUEST = 8
const [READ_HOLDING, WRITE_SINGLE, ILLEGAL_ADDRESS] = [3, 6, 2]

const register = (name: string, address: number): ModbusRegister => ({
  name,
  unitId: 1,
  function: 'holding',
  address,
  type: 'uint16',
  length: 1,
  wordOrder: 'big',
  byteOrder: 'big',
  scale: 1,
  offset: 0,
})

/** Unit 1 with holding registers 0 to 999, each of which holds its address until it is written; 999 cannot be. */
class Slave {
  readonly requests: string[] = []
  /** Time in ms before the answer to the request of this number, counted from 1. */
  delay: (count: number) => number = () => 0
  /** Time in ms at which the last frame, either way, was over, and whether a request ever came too soon behind it. */
  least = Number.POSITIVE_INFINITY
  #lastAt = 0
  #held = Buffer.alloc(0)
  readonly #written = new Map<number, number>()
  readonly #cable: Pty

  constructor(cable: Pty) {
    this.#cable = cable
    cable.listen(bytes => {
      this.#held = Buffer.concat([this.#held, bytes])
      for (; this.#held.length >= REQUEST; this.#held = this.#held.subarray(REQUEST)) {
        this.#take(this.#held.subarray(0, REQUEST))
      }
    })
  }

  #take(request: Buffer): void {
    if (this.#lastAt > 0) this.least = Math.min(this.least, performance.now() - this.#lastAt)
    this.#lastAt = performance.now()
    if (crc16(request, 0xffff) !== 0) throw new Error(`a request with a wrong CRC: ${request.toString('hex')}`)
    const [code, address, value] = [request[1] ?? 0, request.readUInt16BE(2), request.readUInt16BE(4)]
    this.requests.push(`${code}:${address}`)
    const answer = this.#answer(code, address, value)
    const crc = crc16(answer, 0xffff)
    const frame = Buffer.concat([answer, Buffer.of(crc & 0xff, crc >> 8)])
    const delay = this.delay(this.requests.length)
    if (delay === 0) this.#say(frame)
    else void pause(delay).then(() => this.#say(frame))
  }

  #answer(code: number, address: number, value: number): Buffer {
    if (address === 999 && code === WRITE_SINGLE) return Buffer.of(1, 0x80 + code, ILLEGAL_ADDRESS)
    if (code === READ_HOLDING) {
      const held = this.#written.get(address) ?? address
      return Buffer.of(1, code, 2, held >> 8, held & 0xff)
    }
    this.#written.set(address, value)
    return Buffer.of(1, code, address >> 8, address & 0xff, value >> 8, value & 0xff)
  }

  #say(frame: Buffer): void {
    this.#lastAt = performance.now()
    this.#cable.write(frame)
  }
}

describe.skipIf(!needs('socat'))('a Modbus device', () => {
  let cable: Pty
  let slave: Slave
  let source: SerialSource
  let seen: Recorder

  beforeEach(async () => {
    cable = await openPty()
    slave = new Slave(cable)
    seen = new Recorder()
  })
  afterEach(async () => {
    await source.stop()
    await cable.close()
  })

  async function start(more: { every?: number; timeout?: number; retries?: number } = {}): Promise<void> {
    const registers = [register('low', 7), register('high', 300), register('fixed', 999)]
    const settings = {
      ...SERIAL,
      path: cable.path,
      codec: 'modbus',
      registers,
      maxGap: 0,
      every: 60_000,
      ...more,
    } as const
    source = new SerialSource({ settings, clock: systemClock })
    await source.start(seen, never)
  }

  it('is asked for each stretch of registers, with the quiet between that the standard wants', async () => {
    await start()
    await seen.count(1)
    expect(slave.requests).toEqual(['3:7', '3:300', '3:999'])
    expect(seen.values).toEqual([{ low: 7, high: 300, fixed: 999 }])
    // 3.5 characters of 11 bits at 9,600 baud.
    expect(slave.least).toBeGreaterThanOrEqual(3.5)
  })

  it('takes writes between the questions, and says what it refuses', async () => {
    await start({ every: 50 })
    await source.command('low=42')
    await source.poll?.()
    await source.poll?.()
    expect(seen.values.at(-1)).toEqual({ low: 42, high: 300, fixed: 999 })
    await expect(source.command('fixed=1')).rejects.toThrow('unit 1 refused to write fixed: illegal data address (2)')
    await expect(source.command('other=1')).rejects.toThrow('can be written: low, high, fixed')
    expect(seen.faults).toEqual([])
  })

  it('never has the value of one register taken for another’s, however late it answers', async () => {
    // In time, late, twice as late, and so late that the question has been asked again.
    const delays = [0, 150, 250, 0, 330, 0, 150]
    slave.delay = count => delays[count % delays.length] ?? 0
    await start({ timeout: 100, retries: 4 })
    for (let round = 0; round < 4; round++) await source.poll?.()
    for (const value of seen.values) {
      for (const [name, number] of Object.entries(value)) expect([name, number]).toEqual([name, OWN[name]])
    }
    expect(seen.values.length).toBeGreaterThan(1)
    expect(seen.faults.length).toBeGreaterThan(0)
  })
})

const OWN: Readonly<Record<string, number>> = { low: 7, high: 300, fixed: 999 }
