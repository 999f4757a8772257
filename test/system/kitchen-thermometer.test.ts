/**
 * A kitchen thermometer on a serial cable: what it says comes out of the broker as retained readings, a
 * pulled plug is seen, and a device that is plugged in again is read on without a restart.
 */
import { describe, expect, test } from 'vitest'
import { startGateway } from '../support/gateway.ts'
import { needs } from '../support/needs.ts'
import { openPty, type Pty } from '../support/pty.ts'
import { pub } from '../support/pub.ts'
import { type SubMessage, startSub } from '../support/sub.ts'

const READING = '/Home/Kitchen/Thermometer'
const AVAILABILITY = '/Home/Kitchen/Thermometer/availability'

const is =
  (topic: string, payload: string) =>
  (message: SubMessage): boolean =>
    message.topic === topic && message.payload === payload

const config = (path: string, codec: string): string => `
devices:
  - name: Thermometer
    room: Kitchen
    serial: { path: '${path}', ${codec} }
`

async function cable(): Promise<Pty & AsyncDisposable> {
  const pty = await openPty()
  return Object.assign(pty, { [Symbol.asyncDispose]: () => pty.close() })
}

describe.skipIf(!needs('socat') || !needs('mosquitto_sub'))('a kitchen thermometer', () => {
  test('is read, missed when it is unplugged, and read again when it is plugged in again', async () => {
    await using pty = await cable()
    await using gateway = await startGateway({ config: config(pty.path, 'codec: number') })
    const { port } = gateway
    await using sub = await startSub({ port, topics: ['/Home/Kitchen/#'], qos: 1 })
    await sub.message(is(AVAILABILITY, 'online'), 'the thermometer to be online')

    // The end of a line whose beginning was before the port was open: a reading that nobody measured.
    pty.write('.5\r\n')
    pty.write('21.5\r\n')
    expect((await sub.message(is(READING, '21.5'), 'the first reading')).retain).toBe(false)
    pty.write('21.')
    pty.write('75\n')
    await sub.message(is(READING, '21.75'), 'a reading in two pieces')
    {
      await using late = await startSub({ port, topics: ['/Home/Kitchen/#'], qos: 1 })
      expect((await late.message(is(READING, '21.75'), 'the retained reading')).retain).toBe(true)
      expect((await late.message(is(AVAILABILITY, 'online'), 'the retained availability')).retain).toBe(true)
    }

    await pty.unplug()
    await sub.message(is(AVAILABILITY, 'offline'), 'the thermometer to be offline')
    {
      await using late = await startSub({ port, topics: ['/Home/Kitchen/#'], qos: 1 })
      expect((await late.message(is(AVAILABILITY, 'offline'), 'the retained availability')).retain).toBe(true)
    }

    const before = sub.messages.length
    await pty.replug()
    await sub.message(
      message => sub.messages.indexOf(message) >= before && is(AVAILABILITY, 'online')(message),
      'the thermometer to be online again',
      20_000,
    )
    pty.write('\n19.25\n')
    await sub.message(is(READING, '19.25'), 'a reading after the plug was back')
    expect(gateway.process.running).toBe(true)
    await gateway.stop()
  })

  test('noise on the line costs one reading and nothing else', async () => {
    await using pty = await cable()
    await using gateway = await startGateway({ config: config(pty.path, 'codec: number') })
    await using sub = await startSub({ port: gateway.port, topics: [READING], qos: 1 })
    await using availability = await startSub({ port: gateway.port, topics: [AVAILABILITY], qos: 1 })
    await availability.message(is(AVAILABILITY, 'online'), 'the thermometer to be online')
    pty.write('\n20.5\n')
    pty.write(Buffer.from([0xff, 0xfe, 0, 7, 0x80, 0x0a]))
    pty.write(`${'9'.repeat(100_000)}\n`)
    pty.write('20.75\n')
    await sub.message(is(READING, '20.75'), 'the reading after the noise')
    expect(sub.payloads).toEqual(['20.5', '20.75'])
    expect(availability.payloads).not.toContain('offline')
  })

  test.each([
    ['json', 'codec: json', '{"temperature": 21.5, "humidity": 40}', { temperature: 21.5, humidity: 40 }],
    ['pairs', 'codec: pairs', 'temperature:21.5 humidity:40', { temperature: 21.5, humidity: 40 }],
    ['csv', 'codec: csv, columns: [temperature, humidity]', '21.5,40', { temperature: 21.5, humidity: 40 }],
  ])('a line of %s becomes one JSON object', async (_, codec, line, expected) => {
    await using pty = await cable()
    await using gateway = await startGateway({ config: config(pty.path, codec) })
    await using sub = await startSub({ port: gateway.port, topics: ['/Home/Kitchen/#'], qos: 1 })
    await sub.message(is(AVAILABILITY, 'online'), 'the thermometer to be online')
    pty.write(`\n${line}\n`)
    const reading = await sub.message(message => message.topic === READING, 'the reading')
    expect(JSON.parse(reading.payload)).toEqual(expected)
  })

  test('a command on its set topic goes out on the line', async () => {
    await using pty = await cable()
    await using gateway = await startGateway({ config: config(pty.path, 'codec: number') })
    await using sub = await startSub({ port: gateway.port, topics: ['/Home/Kitchen/#'], qos: 1 })
    await sub.message(is(AVAILABILITY, 'online'), 'the thermometer to be online')
    await pub('interval 5', { port: gateway.port, topic: `${READING}/set`, qos: 1 })
    expect(await pty.nextLine()).toBe('interval 5')
  })
})
