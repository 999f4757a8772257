/** The Modbus codec and a device that others wrote: pymodbus, on a pseudo-terminal. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCodec } from '../../device/codecs/create.ts'
import type { ModbusRegister } from '../../device/codecs/settings.ts'
import type { Value } from '../../src/devices/ports.ts'
import { pythonWith } from '../support/needs.ts'
import { until } from '../support/wait.ts'

const SCRIPT = join(import.meta.dirname, 'modbus_device.py')
/** A question is sent again when the device did not hear it: it may not have opened its port yet. */
const AGAIN_MS = 1_000

const python = pythonWith('pymodbus.server', { package: 'python3-pymodbus' })

function register(name: string, address: number, more: Partial<ModbusRegister> = {}): ModbusRegister {
  const order = { wordOrder: 'big', byteOrder: 'big' } as const
  const own = { name, address, unitId: 17, function: 'holding', type: 'uint16', length: 1 } as const
  return { ...own, ...order, scale: 1, offset: 0, ...more }
}

/** Somebody who asks the device, as the port of the gateway does. */
class Asker {
  readonly faults: string[] = []
  readonly #child: ChildProcessWithoutNullStreams
  readonly #registers: readonly ModbusRegister[]

  constructor(child: ChildProcessWithoutNullStreams, ...registers: ModbusRegister[]) {
    this.#child = child
    this.#registers = registers
  }

  /** The reading of one round. */
  async round(): Promise<Record<string, Value> | undefined> {
    let read: Record<string, Value> | undefined
    await this.#talk(
      async (codec, send) => {
        for (const [index, question] of (codec.questions ?? []).entries())
          await send(question, () => codec.asked?.(index))
        codec.finished?.()
      },
      value => {
        read = value
      },
    )
    return read === undefined ? undefined : { ...read }
  }

  /** Resolves when the device has answered. */
  async write(command: string): Promise<void> {
    await this.#talk(
      async (codec, send) => {
        const bytes = codec.encode?.(command) ?? Buffer.alloc(0)
        await send(bytes, () => {})
      },
      () => {},
    )
  }

  async #talk(
    say: (
      codec: ReturnType<typeof createCodec>,
      send: (bytes: Buffer, before: () => void) => Promise<void>,
    ) => Promise<void>,
    read: (value: Record<string, Value>) => void,
  ): Promise<void> {
    let answers = 0
    const codec = createCodec(
      { codec: 'modbus', registers: this.#registers, maxGap: 8 },
      {
        reading: ({ value }) => read(value as Record<string, Value>),
        fault: reason => void this.faults.push(reason),
        answered: () => {
          answers++
        },
      },
    )
    const listen = (chunk: Buffer) => codec.push(chunk)
    this.#child.stdout.on('data', listen)
    try {
      await say(codec, async (bytes, before) => {
        const had = answers
        let sentAt = Number.NEGATIVE_INFINITY
        await until(
          () => {
            if (answers > had) return true
            if (performance.now() - sentAt > AGAIN_MS) {
              sentAt = performance.now()
              before()
              this.#child.stdin.write(bytes)
            }
            return false
          },
          { what: `an answer to ${bytes.toString('hex')}`, timeout: 20_000 },
        )
      })
    } finally {
      this.#child.stdout.off('data', listen)
    }
  }
}

describe.skipIf(python === undefined)('pymodbus', () => {
  let child: ChildProcessWithoutNullStreams

  beforeAll(() => {
    child = spawn(python as string, [SCRIPT], { stdio: 'pipe' })
    child.stderr.resume()
  })
  afterAll(() => child?.kill('SIGKILL'))

  it('answers all four questions', async () => {
    const asker = new Asker(
      child,
      register('first', 0),
      register('fifth', 5),
      register('last', 199),
      register('voltage', 0, { function: 'input', type: 'float32' }),
      register('below', 2, { function: 'input', type: 'int16', scale: 0.1 }),
      register('coil', 3, { function: 'coil', type: 'bool' }),
      register('coils', 10, { function: 'coil', type: 'bits', length: 11 }),
      register('discrete', 4, { function: 'discrete', type: 'bool' }),
    )
    expect(await asker.round()).toEqual({
      first: 1000,
      fifth: 1005,
      last: 1199,
      voltage: 230.4,
      below: -0.2,
      coil: true,
      coils: '00100100100',
      discrete: false,
    })
    expect(asker.faults).toEqual([])
  })

  it('refuses what it has not, and the rest of the round is read', async () => {
    const asker = new Asker(child, register('there', 20), register('beyond', 300))
    expect(await asker.round()).toEqual({ there: 1020 })
    expect(asker.faults).toEqual(['unit 17 refused holding registers 300: illegal data address (2)'])
  })

  it('takes what is written, with each of the four functions', async () => {
    const asker = new Asker(
      child,
      register('one', 30, { type: 'int16', scale: 0.1 }),
      register('two', 31, { type: 'float32', wordOrder: 'little' }),
      register('text', 40, { type: 'string', length: 4 }),
      register('lamp', 30, { function: 'coil', type: 'bool' }),
      register('lamps', 40, { function: 'coil', type: 'bits', length: 10 }),
    )
    await asker.write('one=-4.2')
    await asker.write('{"two":21.5}')
    await asker.write('text=Larder')
    await asker.write('lamp=off')
    await asker.write('lamps=1011001110')
    expect(await asker.round()).toEqual({ one: -4.2, two: 21.5, text: 'Larder', lamp: false, lamps: '1011001110' })
    expect(asker.faults).toEqual([])
  })

  it('refuses a write beyond its registers', async () => {
    const asker = new Asker(child, register('beyond', 300))
    await asker.write('beyond=1')
    expect(asker.faults).toEqual(['unit 17 refused to write beyond: illegal data address (2)'])
  })
})
