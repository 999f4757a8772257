import { EventEmitter, once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type RunGateway, startCommand } from '../../../src/cli/start.ts'
import type { Config } from '../../../src/config/schema.ts'
import { cronFault } from '../../../src/devices/cron.ts'
import { LarderError } from '../../../src/kernel/errors.ts'
import { Terminal } from './terminal.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'larder-start-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP']

/** A gateway whose start and stop take as long as the test wants. */
class Gateway {
  readonly events = new EventEmitter()
  config: Config | undefined
  addresses = ['mqtt://127.0.0.1:1883']
  stops = 0
  stop = async () => {
    this.stops++
  }
  reload = async (config: Config): Promise<string[]> => {
    this.config = config
    return []
  }
  run: RunGateway = async config => {
    this.config = config
    return { addresses: this.addresses, stop: () => this.stop(), reload: config => this.reload(config) }
  }
}

function terminal(gateway: Gateway, env: NodeJS.ProcessEnv = {}): Terminal {
  const start = startCommand({ checks: { cron: cronFault }, runGateway: (...args) => gateway.run(...args) })
  return new Terminal({ commands: { start }, cwd, env })
}

/** Starts, waits for the line that says so, and sends `signal`. */
async function startAndStop(here: Terminal, argv: string[], signal = 'SIGTERM'): Promise<number> {
  const ready = here.line('larder: ready')
  const status = here.run(...argv)
  await Promise.race([ready, status])
  here.signals.emit(signal)
  return status
}

test.each(['SIGTERM', 'SIGINT'])('says when it is ready, and stops on %s', async signal => {
  const gateway = new Gateway()
  gateway.addresses.push('ws://127.0.0.1:8083/mqtt')
  const here = terminal(gateway)
  expect(await startAndStop(here, ['start'], signal)).toBe(0)
  expect(here.out).toEqual(['larder: ready on mqtt://127.0.0.1:1883, ws://127.0.0.1:8083/mqtt'])
  expect([here.err, gateway.stops]).toEqual([[], 1])
  expect(SIGNALS.map(each => here.signals.listenerCount(each))).toEqual([0, 0, 0])
})

test('a gateway that nobody can connect to is ready as well', async () => {
  const gateway = new Gateway()
  gateway.addresses = []
  const here = terminal(gateway)
  expect(await startAndStop(here, [])).toBe(0)
  expect(here.out).toEqual(['larder: ready'])
})

test('which configuration', async () => {
  const gateway = new Gateway()
  const here = terminal(gateway, { LARDER_LOG_LEVEL: 'warn' })
  await startAndStop(here, [])
  expect(gateway.config).toMatchObject({ name: 'Larder', dataDir: join(cwd, 'larder-data'), log: { level: 'warn' } })
  expect(gateway.config?.devices).toMatchObject([{ kind: 'system' }])

  writeFileSync(join(cwd, 'larder.yaml'), 'name: Here\ndata_dir: here')
  await startAndStop(here, [])
  expect(gateway.config).toMatchObject({ name: 'Here', dataDir: join(cwd, 'here'), devices: [] })

  writeFileSync(join(cwd, 'other.yaml'), 'name: Other\ndata_dir: /var/other')
  await startAndStop(here, ['-c', 'other.yaml'])
  expect(gateway.config).toMatchObject({ name: 'Other', dataDir: '/var/other' })
  await startAndStop(here, ['-c', 'other.yaml', '--data-dir', 'mine'])
  expect(gateway.config).toMatchObject({ name: 'Other', dataDir: join(cwd, 'mine') })
})

test('a configuration with faults starts nothing', async () => {
  const gateway = new Gateway()
  const here = terminal(gateway, { LARDER_LOG_LEVEL: 'chatty' })
  expect(await here.run()).toBe(1)
  expect(here.err.splice(0)).toEqual([
    "LARDER_LOG_LEVEL:1:1: log.level: must be debug, info, warn or error; found the text 'chatty'",
  ])
  expect(await here.run('-c', 'none.yaml')).toBe(1)
  expect(here.err.splice(0)).toEqual([expect.stringMatching(/^none\.yaml:1:1: /)])
  expect([gateway.config, here.out]).toEqual([undefined, []])
})

test('what keeps the gateway from starting is one line', async () => {
  const gateway = new Gateway()
  gateway.run = async () => {
    throw new LarderError('LISTEN_IN_USE', '127.0.0.1:1883 is in use.', { hint: 'Stop the other broker.' })
  }
  const here = terminal(gateway)
  expect(await here.run()).toBe(1)
  expect([here.out, here.err]).toEqual([
    [],
    ['larder: LISTEN_IN_USE: 127.0.0.1:1883 is in use. Stop the other broker.'],
  ])
  expect(SIGNALS.map(each => here.signals.listenerCount(each))).toEqual([0, 0, 0])
})

test('what nobody thought of is told with its stack', async () => {
  const gateway = new Gateway()
  gateway.run = async () => {
    throw new TypeError('oops')
  }
  const here = terminal(gateway)
  expect(await here.run()).toBe(1)
  expect(here.err).toEqual([expect.stringMatching(/^larder: TypeError: oops\n.*start\.test\.ts/s)])
})

test('a stop while it starts ends the start', async () => {
  const gateway = new Gateway()
  gateway.run = async (_, signal) => {
    gateway.events.emit('starting')
    await once(gateway.events, 'never', { signal })
    throw new Error('not reached')
  }
  const here = terminal(gateway)
  const starting = once(gateway.events, 'starting')
  const status = here.run()
  await starting
  here.signals.emit('SIGINT')
  expect(await status).toBe(0)
  expect([here.out, here.err]).toEqual([[], []])
})

test('a start that comes too late for the stop is stopped, and never was ready', async () => {
  const gateway = new Gateway()
  const run = gateway.run
  gateway.run = async (config, signal) => {
    gateway.events.emit('starting')
    await once(signal, 'abort')
    return run(config, signal)
  }
  const here = terminal(gateway)
  const starting = once(gateway.events, 'starting')
  const status = here.run()
  await starting
  here.signals.emit('SIGTERM')
  expect(await status).toBe(0)
  expect([here.out, gateway.stops]).toEqual([[], 1])
})

test('a second signal does not wait for the stop', async () => {
  const gateway = new Gateway()
  gateway.stop = async () => {
    gateway.events.emit('stopping')
    await once(gateway.events, 'never')
  }
  const here = terminal(gateway)
  const stopping = once(gateway.events, 'stopping')
  const status = startAndStop(here, [])
  await stopping
  here.signals.emit('SIGINT')
  expect(await status).toBe(1)
})

test('a stop that fails is told', async () => {
  const gateway = new Gateway()
  gateway.stop = async () => {
    throw new LarderError('STORE_FAILED', 'The last messages could not be written.')
  }
  const here = terminal(gateway)
  expect(await startAndStop(here, [])).toBe(1)
  expect(here.err).toEqual(['larder: STORE_FAILED: The last messages could not be written.'])
})

test('SIGHUP reads the file again; with faults in it nothing changes', async () => {
  const file = join(cwd, 'larder.yaml')
  writeFileSync(file, 'name: Before')
  const gateway = new Gateway()
  const here = terminal(gateway)
  const ready = here.line('larder: ready')
  const status = here.run()
  await ready
  writeFileSync(file, 'nmae: After')
  const refused = here.line('larder: not reloaded')
  here.signals.emit('SIGHUP')
  await refused
  expect(here.err).toEqual([
    "larder.yaml:1:1: nmae: unknown key; did you mean 'name'?",
    'larder: not reloaded: the configuration has faults, and the one in force goes on',
  ])
  expect(gateway.config?.name).toBe('Before')

  writeFileSync(file, 'name: After')
  const done = here.line('larder: reloaded')
  here.signals.emit('SIGHUP')
  await done
  expect(gateway.config?.name).toBe('After')
  expect(gateway.stops).toBe(0)
  here.signals.emit('SIGTERM')
  expect(await status).toBe(0)
})

test('SIGHUP: what the gateway cannot take up is said, and so is what needs a restart', async () => {
  const gateway = new Gateway()
  const here = terminal(gateway)
  const ready = here.line('larder: ready')
  const status = here.run()
  await ready
  gateway.reload = async () => {
    throw new LarderError('CONFIG_INVALID', 'passwords:3: wrong')
  }
  const refused = here.line('larder: not reloaded')
  here.signals.emit('SIGHUP')
  await refused
  expect(here.err).toEqual([
    'larder: CONFIG_INVALID: passwords:3: wrong',
    'larder: not reloaded: the configuration in force goes on',
  ])
  gateway.reload = async () => ['dataDir']
  const said = here.line('larder: dataDir')
  here.signals.emit('SIGHUP')
  await said
  expect(here.err.at(-1)).toBe('larder: dataDir: a change counts from the next start')
  here.signals.emit('SIGTERM')
  expect(await status).toBe(0)
})
