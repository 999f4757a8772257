/**
 * What an owner meets when something is wrong: every fault of the configuration at once, each with its
 * place; one clear line for a port in use, a folder that cannot be written, a device that is not there.
 */
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { larder, startGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { until } from '../support/wait.ts'

/** `nobody` on Debian: owns nothing and may write nowhere. */
const NOBODY = 65_534

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-faults-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function configured(text: string): Promise<string> {
  const file = join(folder, 'larder.yaml')
  await writeFile(file, text)
  return file
}

/** Everything that was printed, whichever way. */
const said = (result: { lines: string[]; errors: string[] }): string[] => [...result.lines, ...result.errors]

/** Sorry for the owner is a sentence, not a stack trace. */
function expectClear(result: { lines: string[]; errors: string[] }, ...words: string[]): void {
  const text = said(result).join('\n')
  expect(
    said(result).some(line => words.every(word => line.includes(word))),
    `one line with ${words.join(', ')} in:\n${text}`,
  ).toBe(true)
  expect(text).not.toMatch(/^\s+at /m)
}

describe('a bad configuration', () => {
  // Each fault with the piece of its line that it must point at: the key or the value.
  const FAULTY = `name: Cottage
listeners:
  - mqtt://127.0.0.1:99999
limits:
  max_inflght: 20
store:
  commit_delay: soon
devices:
  - name: Thermometer
    room: Kitchen
    serial: { path: /dev/ttyUSB0, codec: jsn }
schedules:
  - cron: '61 * * * *'
    publish: { topic: /Home/Bell, payload: ring }
`
  const FAULTS = [
    { line: 3, at: ['mqtt://127.0.0.1:99999'], says: /port/i },
    { line: 5, at: ['max_inflght'], says: /max_inflight/ },
    { line: 7, at: ['commit_delay', 'soon'], says: /soon|duration/i },
    { line: 11, at: ['codec', 'jsn'], says: /json/ },
    { line: 13, at: ['cron', "'61"], says: /61|cron/ },
  ]

  test.each(['start', 'check'])(
    '%s prints five lines for five faults, each with line and column, and exits 1',
    async command => {
      const file = await configured(FAULTY)
      const result = await larder([command, '-c', file], { cwd: folder })
      expect(result.code).toBe(1)
      const found = said(result).flatMap(line => {
        const place = /larder\.yaml:(\d+):(\d+): (.+)$/.exec(line)
        return place === null ? [] : [{ line: Number(place[1]), column: Number(place[2]), message: place[3] ?? '' }]
      })
      expect(found.map(fault => fault.line)).toEqual(FAULTS.map(fault => fault.line))
      for (const [index, { line, at, says }] of FAULTS.entries()) {
        const text = FAULTY.split('\n')[line - 1] ?? ''
        expect(at.map(piece => text.indexOf(piece) + 1)).toContain(found[index]?.column)
        expect(found[index]?.message).toMatch(says)
      }
      expect(said(result).join('\n')).not.toMatch(/^\s+at |larder: ready/m)
    },
  )

  test('text that is not YAML has a place too', async () => {
    const result = await larder(['start', '-c', await configured('name: Cottage\nlisteners: [mqtt://127.0.0.1\n')])
    expect(result.code).toBe(1)
    expect(said(result).join('\n')).toMatch(/larder\.yaml:\d+:\d+: /)
  })

  test('a file that is not there is one clear line', async () => {
    const result = await larder(['start', '-c', join(folder, 'absent.yaml')])
    expect(result.code).toBe(1)
    expectClear(result, 'absent.yaml')
  })

  test('a good one passes the check', async () => {
    const result = await larder([
      'check',
      '-c',
      await configured('name: Cottage\nlisteners: [mqtt://127.0.0.1:1883]\n'),
    ])
    expect(said(result).join('\n')).not.toMatch(/larder\.yaml:\d+/)
    expect(result.code).toBe(0)
  })
})

test.each([[['strat']], [['start', '--no-such-flag']], [['start', '-c']], [['check', 'larder.yaml']]])(
  'the command line %j is answered with exit code 2',
  async args => {
    const result = await larder(args, { cwd: folder })
    expect(result.code).toBe(2)
    expectClear(result, 'larder:')
  },
)

describe('something else is in the way', () => {
  test.each(['mqtt', 'ws'])('a port in use (%s): a clear line and exit 1', async protocol => {
    const occupant = createServer().listen(0, '127.0.0.1')
    await until(() => occupant.listening, { what: 'the occupant of the port' })
    const { port } = occupant.address() as AddressInfo
    try {
      const file = await configured(`data_dir: data\nlisteners: ['${protocol}://127.0.0.1:${port}']\n`)
      const result = await larder(['start', '-c', file])
      expect(result.code).toBe(1)
      expectClear(result, 'LISTEN_IN_USE', String(port))
      expect(result.lines.join('\n')).not.toContain('larder: ready')
    } finally {
      occupant.close()
    }
  })

  test('a data_dir below a plain file: a clear line and exit 1', async () => {
    await writeFile(join(folder, 'plain'), 'not a folder')
    const file = await configured(`data_dir: plain/data\nlisteners: ['mqtt://127.0.0.1:${await freePort()}']\n`)
    const result = await larder(['start', '-c', file])
    expect(result.code).toBe(1)
    expectClear(result, 'DATA_DIR_UNUSABLE', join(folder, 'plain'))
    expect(await readFile(join(folder, 'plain'), 'utf8')).toBe('not a folder')
  })

  test.skipIf(process.getuid?.() !== 0)('a data_dir that may not be written: a clear line and exit 1', async () => {
    const dataDir = join(folder, 'data')
    await mkdir(dataDir)
    await chmod(folder, 0o755)
    await chmod(dataDir, 0o755)
    const file = await configured(`data_dir: data\nlisteners: ['mqtt://127.0.0.1:${await freePort()}']\n`)
    const result = await larder(['start', '-c', file], { uid: NOBODY, cwd: folder, env: { HOME: folder } })
    expect(result.code).toBe(1)
    expectClear(result, 'DATA_DIR_UNUSABLE', dataDir)
  })

  test('a data_dir that another gateway uses: a clear line and exit 1, and the other goes on', async () => {
    await using gateway = await startGateway({ config: 'name: First' })
    const file = await configured(
      `data_dir: '${gateway.dataDir}'\nlisteners: ['mqtt://127.0.0.1:${await freePort()}']\n`,
    )
    const result = await larder(['start', '-c', file])
    expect(result.code).toBe(1)
    expectClear(result, 'STORE_LOCKED', gateway.dataDir)
    await using client = await RawClient.connect({ port: gateway.port })
    await client.ping()
  })

  test('a serial device that is not there: a clear line, an offline device, and a gateway that runs', async () => {
    const path = join(folder, 'ttyAbsent')
    await using gateway = await startGateway({
      config: `devices:\n  - { name: Thermometer, room: Kitchen, serial: { path: '${path}' } }\n`,
    })
    await until(() => gateway.process.errors.some(line => line.includes(path)), {
      what: () => `a line about ${path} in\n${gateway.log}`,
    })
    await using client = await RawClient.connect({ port: gateway.port })
    await client.subscribe({ topic: '/Home/Kitchen/#', qos: 1 })
    await client.received(1)
    expect(client.publishes.map(packet => [packet.topic, packet.payload.toString(), packet.retain])).toEqual([
      ['/Home/Kitchen/Thermometer/availability', 'offline', true],
    ])
    await gateway.stop()
  })

  test('a bridge whose upstream is not there: a line, and a gateway that runs', async () => {
    const port = await freePort()
    await using gateway = await startGateway({
      config: `bridges:\n  - { name: cloud, url: 'mqtt://127.0.0.1:${port}', out: [{ filter: '#' }] }\n`,
    })
    await until(() => gateway.process.errors.some(line => line.includes(String(port)) || line.includes('cloud')), {
      what: () => `a line about the bridge in\n${gateway.log}`,
    })
    await using client = await RawClient.connect({ port: gateway.port })
    await client.ping()
    await gateway.stop()
  })
})
