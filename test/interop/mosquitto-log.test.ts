/** The log of `larder mosquitto -v` beside that of Debian's mosquitto, with the same clients. */
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { needs } from '../support/needs.ts'
import { Process, run } from '../support/process.ts'
import { until, within } from '../support/wait.ts'
import { outcome, sideBySide, skipped, withoutStamp } from './side-by-side.ts'

const { conf, ours, theirs } = sideBySide()

describe.skipIf(!needs('mosquitto') || !needs('mosquitto_pub'))('the log with -v', () => {
  /** What clients do that people look for in a log. */
  async function household(port: number): Promise<void> {
    const at = ['-h', '127.0.0.1', '-p', `${port}`]
    await using reader = new Process('stdbuf', [
      '-oL',
      'mosquitto_sub',
      ...at,
      '-i',
      'reader',
      '-t',
      'a/#',
      '-q',
      '2',
      '-V',
      '5',
      '-d',
      '-u',
      'bob',
      '-P',
      'x',
    ])
    await reader.line(line => line.includes('received SUBACK'))
    for (const [qos, version] of [
      ['0', '311'],
      ['1', '31'],
      ['2', '5'],
    ] as const) {
      const from = reader.lines.length
      await run('mosquitto_pub', [...at, '-i', `writer${qos}`, '-t', 'a/b', '-m', 'hello', '-q', qos, '-V', version])
      await reader.line(line => line.includes('received PUBLISH'), { from })
    }
    const will = ['--will-topic', 'w', '--will-payload', 'gone', '--will-qos', '1', '--will-retain']
    await using mortal = new Process('stdbuf', [
      '-oL',
      'mosquitto_sub',
      ...at,
      '-i',
      'mortal',
      '-t',
      'x',
      '-k',
      '30',
      '-c',
      '-d',
      ...will,
    ])
    await mortal.line(line => line.includes('received SUBACK'))
    await mortal.kill('SIGKILL')
    await run('mosquitto_sub', [...at, '-i', 'leaver', '-t', 'x', '-U', 'y', '-W', '1'])
    await raw(port, '100d00044d51545409020001000163')
    await raw(port, '100c00044d5154540400000a0000')
    await reader.kill('SIGTERM')
  }

  /** Sends bytes, and waits until the broker closes. */
  async function raw(port: number, bytes: string): Promise<void> {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {}).resume()
    socket.write(Buffer.from(bytes, 'hex'))
    await within(new Promise(resolve => socket.once('close', resolve)), { what: 'the broker to close' })
  }

  /** Lines that are about clients, in the order of their text: what overtakes what is not the same, nor need it be. */
  const aboutClients = (broker: Process): string[] =>
    broker.errors
      .map(line =>
        withoutStamp(line)
          .replace(/127\.0\.0\.1:\d+/, 'ADDRESS')
          .replace(/on port \d+/, 'on port PORT'),
      )
      .filter(line => /^(\t|New |Client |Sending |Received |Will |No will |\S+ (\d )?\S+$)/.test(line))
      .sort()

  test('says what Mosquitto says, word for word', { timeout: 60_000 }, async context => {
    const [one, two] = [await freePort(), await freePort()]
    const file = (port: number) => conf(`listener ${port} 127.0.0.1\nallow_anonymous true\nuser root`)
    await using their = theirs('-v', '-c', file(one))
    await using our = ours('-v', '-c', file(two))
    expect(await outcome(their)).toBeUndefined()
    expect(await outcome(our)).toBeUndefined()
    await Promise.all([household(one), household(two)])
    const isDone = (broker: Process) => broker.errors.some(line => line.includes('Client reader disconnected.'))
    await until(() => isDone(their), { what: 'the end of the log of mosquitto' })
    await until(() => isDone(our), { what: 'the end of ours', timeout: 2_000 }).catch(() => {})
    if (!our.errors.some(line => line.includes('New connection from'))) {
      skipped(context, 'the hub does not tell of connections yet')
    }
    await Promise.all([our.kill('SIGTERM'), their.kill('SIGTERM')])
    expect(aboutClients(our)).toEqual(aboutClients(their))
    expect(aboutClients(our).length).toBeGreaterThan(60)
  })
})
