/** `larder mosquitto` and `larder start --mosquitto-conf`, with a gateway and a log that only note what they are told. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type MosquittoDependencies, mosquittoCommand, runAsMosquitto, type Voice } from '../../../src/cli/mosquitto.ts'
import { startCommand } from '../../../src/cli/start.ts'
import type { LogHabits } from '../../../src/config/mosquitto/load.ts'
import type { Config } from '../../../src/config/schema.ts'
import { cronFault } from '../../../src/devices/cron.ts'
import { LarderError } from '../../../src/kernel/errors.ts'
import { until } from '../../support/wait.ts'
import { Terminal } from './terminal.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'larder-cli-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

const ALL = ['error', 'warning', 'notice', 'information', 'debug', 'subscribe', 'unsubscribe', 'websockets', 'internal']

class Rig {
  readonly lines: string[] = []
  settings: LogHabits | undefined
  config: Config | undefined
  /** What stood in the data folder's place while the gateway ran. */
  hadFolder = false
  opened = 0
  closed = 0
  readonly inBackground: (readonly string[])[] = []
  readonly became: string[] = []
  readonly reloads: Config[] = []
  fault: Error | undefined
  isRoot = false
  pid: string | undefined

  get deps(): MosquittoDependencies {
    const { isRoot } = this
    return {
      checks: { cron: cronFault },
      isRoot,
      openVoice: async settings => {
        this.settings = settings
        const voice: Voice = {
          line: (_, text) => void this.lines.push(text),
          open: () => {
            this.opened++
            if (settings.file !== undefined) throw new Error('no such folder')
          },
          close: () => void this.closed++,
        }
        return voice
      },
      runGateway: async config => {
        this.config = config
        this.hadFolder = existsSync(config.dataDir)
        this.pid = existsSync(join(cwd, 'pid')) ? readFileSync(join(cwd, 'pid'), 'utf8') : undefined
        if (this.fault !== undefined) throw this.fault
        const reload = async (again: Config) => {
          this.reloads.push(again)
          return ['dataDir']
        }
        return { addresses: ['mqtt://127.0.0.1:1883'], stop: async () => {}, reload }
      },
      daemonise: async args => void this.inBackground.push(args),
      become: user => {
        if (user === 'nobodyatall') throw new Error("Unable to drop privileges to 'nobodyatall'.")
        this.became.push(user)
      },
    }
  }

  terminal(): Terminal {
    const { deps } = this
    const runGateway = async () => ({ addresses: [], stop: async () => {}, reload: async () => [] })
    const start = startCommand({ checks: deps.checks, runGateway, asMosquitto: runAsMosquitto(deps) })
    return new Terminal({ commands: { start, mosquitto: mosquittoCommand(deps) }, cwd })
  }

  /** Runs a command line to its end, or to its readiness and a SIGTERM. */
  async run(...argv: string[]): Promise<{ status: number; out: string[]; err: string[] }> {
    const terminal = this.terminal()
    const ready = terminal.line('larder: ready')
    const status = terminal.run(...argv)
    await Promise.race([ready, status])
    terminal.signals.emit('SIGTERM')
    return { status: await status, out: terminal.out, err: terminal.err }
  }
}

function conf(...lines: string[]): string {
  writeFileSync(join(cwd, 'm.conf'), lines.join('\n'))
  return 'm.conf'
}

const portsOf = (config: Config | undefined) => config?.listeners.map(({ host, port }) => `${host} ${port}`)

test('without a file it is alone with this machine, and says so as Mosquitto does', async () => {
  const rig = new Rig()
  const { status, out } = await rig.run('mosquitto', '-p', '1884', '-p', '1885')
  expect([status, out]).toEqual([0, ['larder: ready on mqtt://127.0.0.1:1883']])
  expect(portsOf(rig.config)).toEqual(expect.arrayContaining(['127.0.0.1 1884', '127.0.0.1 1885']))
  const me = 'Larder 1.2.3 in place of mosquitto version 2.1'
  const said = rig.lines.filter(line => !line.startsWith('Opening ipv6'))
  expect(said).toEqual([
    `${me} starting`,
    'Using default config.',
    'Starting in local only mode. Connections will only be possible from clients running on this machine.',
    'Create a configuration file which defines a listener to allow remote access.',
    'For more details see https://mosquitto.org/documentation/authentication-methods/',
    'persistence is false: as in Mosquitto, nothing is kept over a restart. "persistence true" keeps it.',
    'Opening ipv4 listen socket on port 1884.',
    'Opening ipv4 listen socket on port 1885.',
    `${me} running`,
    `${me} terminating`,
  ])
})

test('with a file', async () => {
  const rig = new Rig()
  const file = conf(
    'listener 1884 127.0.0.1',
    'autosave_interval 9',
    'persistence true',
    'log_type error',
    'pid_file pid',
  )
  const { status } = await rig.run('mosquitto', '-c', file, '-p', '1999')
  expect(status).toBe(0)
  expect(portsOf(rig.config)).toEqual(['127.0.0.1 1884'])
  expect(rig.lines).toContain('Config loaded from m.conf.')
  expect(rig.lines).toContain('m.conf:2: autosave_interval is not needed: what is acknowledged is on disk at once')
  expect(rig.settings?.types).toEqual(['error'])
  expect([rig.pid, existsSync(join(cwd, 'pid'))]).toEqual([`${process.pid}`, false])
  expect([rig.opened, rig.closed]).toEqual([1, 1])
})

describe('where the data is', () => {
  test('with persistence false, in a folder that goes with the run', async () => {
    const rig = new Rig()
    await rig.run('mosquitto', '-c', conf('listener 1884'))
    const { dataDir = '', store } = rig.config ?? {}
    expect(rig.hadFolder).toBe(true)
    expect(existsSync(dataDir)).toBe(false)
    expect(dataDir.startsWith(cwd)).toBe(false)
    expect(store?.durability).toBe(Number.POSITIVE_INFINITY)
  })

  test('also when the gateway does not start', async () => {
    const rig = new Rig()
    rig.fault = new Error('no')
    expect((await rig.run('mosquitto')).status).toBe(1)
    expect([rig.hadFolder, existsSync(rig.config?.dataDir ?? '')]).toEqual([true, false])
  })

  test('with persistence true, where it says', async () => {
    const rig = new Rig()
    await rig.run('mosquitto', '-c', conf('persistence true', 'persistence_location db'))
    expect([rig.config?.dataDir, rig.config?.store.durability]).toEqual([join(cwd, 'db'), 0])
  })

  test('--data-dir is stronger than either', async () => {
    const rig = new Rig()
    await rig.run('start', '--mosquitto-conf', conf('listener 1884'), '--data-dir', 'mine')
    expect([rig.config?.dataDir, rig.config?.store.durability]).toEqual([join(cwd, 'mine'), 0])
  })
})

test.each<[string, string[], readonly string[]]>([
  ['-v is stronger than the file', ['-v'], ALL],
  ['-q is stronger than -v', ['-v', '-q'], []],
  ['--verbose, --quiet', ['--verbose', '--quiet'], []],
])('%s', async (_, args, types) => {
  const rig = new Rig()
  await rig.run('mosquitto', '-c', conf('log_type warning'), ...args)
  expect(rig.settings?.types).toEqual(types)
})

test('faults are told as Mosquitto tells them, with its exit status', async () => {
  const rig = new Rig()
  expect((await rig.run('mosquitto', '-c', conf('foo 1', 'max_qos 7'))).status).toBe(3)
  expect(rig.lines).toEqual([
    'Error: Unknown configuration variable "foo".',
    'Error found at m.conf:1.',
    'Error: max_qos must be between 0 and 2 inclusive.',
    'Error found at m.conf:2.',
  ])
  expect((await rig.run('mosquitto', '-c', 'nowhere.conf')).status).toBe(3)
  expect(rig.lines.at(-1)).toBe('Error: Unable to open config file nowhere.conf.')
  expect(rig.config).toBeUndefined()
})

test.each<[string[], string]>([
  [['-z'], "Unknown option '-z'."],
  [['--port=1884'], "Unknown option '--port=1884'."],
  [['m.conf'], "Unknown option 'm.conf'."],
  [['-c'], '-c argument given, but no config file specified.'],
  [['-p'], '-p argument given, but no port specified.'],
  [['-p', '0'], 'Invalid port specified (0).'],
  [['-p', '70000'], 'Invalid port specified (70000).'],
  [Array.from({ length: 11 }, (_, i) => ['-p', `${i + 1}`]).flat(), 'Only 10 ports can be specified.'],
])('command line %j', async (args, message) => {
  const { status, err, out } = await new Rig().run('mosquitto', ...args)
  expect([status, err]).toEqual([3, [`Error: ${message}`]])
  expect(out.length > 0).toBe(message.startsWith('Unknown'))
})

test.each(['-h', '--help'])('%s shows the usage', async flag => {
  const { status, out } = await new Rig().run('mosquitto', flag)
  expect([status, out[2]]).toEqual([
    0,
    'Usage: larder mosquitto [-c config_file] [-d] [-h] [-p port] [-q] [-v] [--test-config]',
  ])
})

test('--test-config runs nothing', async () => {
  const rig = new Rig()
  expect((await rig.run('mosquitto', '-c', conf('listener 1884', 'http_dir x'), '--test-config')).status).toBe(0)
  expect(rig.lines).toEqual([
    'Config loaded from m.conf.',
    'm.conf:2: http_dir is not honoured: files are not served',
    'Configuration file is OK.',
  ])
  expect((await rig.run('mosquitto', '-c', conf('listener x'), '--test-config')).status).toBe(3)
  expect((await rig.run('mosquitto', '--test-config')).status).toBe(3)
  expect(rig.config).toBeUndefined()
})

test('-d starts the same in the background, once the configuration is known to be good', async () => {
  const rig = new Rig()
  const file = conf('listener 1884')
  expect((await rig.run('mosquitto', '-v', '-d', '-c', file, '--daemon', '-p', '1')).status).toBe(0)
  expect([rig.inBackground, rig.config]).toEqual([[['-v', '-c', file, '-p', '1']], undefined])
  expect((await rig.run('mosquitto', '-d', '-c', conf('foo'))).status).toBe(3)
  expect(rig.inBackground).toHaveLength(1)
})

describe('as root', () => {
  test('it becomes whom the file names', async () => {
    const rig = new Rig()
    rig.isRoot = true
    await rig.run('mosquitto', '-c', conf('user nobody'))
    await rig.run('mosquitto', '-c', conf('user root'))
    expect(rig.became).toEqual(['nobody'])
    await rig.run('mosquitto', '-c', conf(''))
    expect(rig.lines).toContain('Warning: Larder runs as root: "user NAME" says as whom else.')
  })

  test('or does not start', async () => {
    const rig = new Rig()
    rig.isRoot = true
    expect((await rig.run('mosquitto', '-c', conf('user nobodyatall'))).status).toBe(1)
    expect(rig.lines).toContain("Error: Unable to drop privileges to 'nobodyatall'.")
  })

  test('as anybody else the line means nothing', async () => {
    const rig = new Rig()
    expect((await rig.run('mosquitto', '-c', conf('user nobodyatall'))).status).toBe(0)
    expect(rig.became).toEqual([])
  })
})

test.each<[LarderError, number, string]>([
  [new LarderError('LISTEN_IN_USE', 'taken.'), 1, 'Error: Address already in use'],
  [new LarderError('CONFIG_UNREADABLE', 'no file.'), 3, 'Error: CONFIG_UNREADABLE: no file.'],
  [new LarderError('CERTIFICATE_INVALID', 'bad.', { hint: 'Do it.' }), 3, 'Error: CERTIFICATE_INVALID: bad. Do it.'],
  [new LarderError('STORE_LOCKED', 'locked.'), 1, 'Error: STORE_LOCKED: locked.'],
])('a gateway that does not start: %s', async (fault, status, line) => {
  const rig = new Rig()
  rig.fault = fault
  expect((await rig.run('mosquitto')).status).toBe(status)
  expect(rig.lines).toContain(line)
})

test('what cannot be written', async () => {
  const rig = new Rig()
  expect((await rig.run('mosquitto', '-c', conf('pid_file nowhere/pid'))).status).toBe(1)
  expect(rig.lines).toContain('Error: Unable to write pid file.')
  // Without a log rather than without a broker, as in Mosquitto.
  const { status, err } = await rig.run('mosquitto', '-c', conf('log_dest file nowhere/log'))
  expect([status, err]).toEqual([0, [`Error: Unable to open log file ${join(cwd, 'nowhere/log')} for writing.`]])
})

test('SIGHUP opens the log anew, and takes up what the file says now', async () => {
  const rig = new Rig()
  const terminal = rig.terminal()
  const ready = terminal.line('larder: ready')
  const status = terminal.run('mosquitto', '-c', conf('listener 1884', 'max_queued_messages 5'))
  await ready
  conf('listener 1884', 'max_queued_messages 6', 'autosave_interval 1', 'log_type error')
  terminal.signals.emit('SIGHUP')
  await until(() => rig.lines.some(line => line.startsWith('larder: dataDir')), { what: 'the end of the reload' })
  conf('foo')
  terminal.signals.emit('SIGHUP')
  await until(() => rig.lines.some(line => line.startsWith('larder: not')), { what: 'the end of the other' })
  terminal.signals.emit('SIGTERM')
  expect(await status).toBe(0)
  expect([rig.opened, rig.reloads.map(({ limits }) => limits.maxQueuedMessages)]).toEqual([3, [6]])
  // The folder of the run stays what it is.
  expect(rig.reloads[0]?.dataDir).toBe(rig.config?.dataDir)
  expect(rig.lines.slice(rig.lines.indexOf('Reloading config.'))).toEqual([
    'Reloading config.',
    'm.conf:3: autosave_interval is not needed: what is acknowledged is on disk at once',
    'log options, pid_file, user and persistence: a change counts from the next start.',
    'larder: reloaded',
    'larder: dataDir: a change counts from the next start',
    'Reloading config.',
    'Error: Unknown configuration variable "foo".',
    'Error found at m.conf:1.',
    'larder: not reloaded: the configuration has faults, and the one in force goes on',
    'Larder 1.2.3 in place of mosquitto version 2.1 terminating',
  ])
})

describe('larder start --mosquitto-conf', () => {
  test('has a port beside the listeners of the file', async () => {
    const rig = new Rig()
    expect((await rig.run('start', '--mosquitto-conf', conf('listener 1884 10.0.0.1'), '--port', '1999')).status).toBe(
      0,
    )
    expect(portsOf(rig.config)).toEqual(expect.arrayContaining(['10.0.0.1 1884', '127.0.0.1 1999']))
  })

  test.each([
    [['--mosquitto-conf', 'm.conf', '-c', 'larder.yaml'], 2],
    [['--port', '1884'], 2],
    [['--mosquitto-conf', 'm.conf', '--port', 'x'], 3],
    [['--mosquitto-conf', 'nowhere.conf'], 3],
  ])('%j', async (args, status) => {
    conf('')
    expect((await new Rig().run('start', ...args)).status).toBe(status)
  })
})
