/**
 * The program behind `entry.ts`: hands the process to the command line. The gateway itself is loaded only when it is to
 * run, so that `larder check` is quick.
 */
import manifest from '../../package.json' with { type: 'json' }
import { cronFault } from '../devices/cron.ts'
import { allocateYoung, collector } from '../kernel/collector.ts'
import type { Gateway as GatewayType } from '../main.ts'
import type { MosquittoLog } from '../observe/mosquitto-log.ts'
import { become, startInBackground } from './background.ts'
import { type CommandDependencies, commandsOf } from './commands.ts'
import { debianUpdate } from './debian.ts'
import type { DoctorFinding, DoctorSubject } from './doctor.ts'
import type { Explain } from './explaining.ts'
import { type Io, run } from './larder.ts'
import type { MosquittoDependencies } from './mosquitto.ts'
import { surroundingsOf } from './program.ts'
import { askSecretly } from './prompt.ts'
import { isWell, Service } from './service.ts'
import type { RunGateway } from './start.ts'
import type { VerifyStore } from './store/verify.ts'
import type { WatchFiles } from './watching.ts'

const checks = { cron: cronFault }

/** What the start has of the program, to be kept for the next one. */
let keepCode = async () => false

/** When a gateway has started, before it says so: what would hold somebody up later. */
function startIsOver(): void {
  // First: what V8 is told next is a flag, and it takes code back only under the flags that it was made with.
  void keepCode()
  allocateYoung()
  // V8 counts from this look on how far the heap may grow until the next: else that comes among the first messages.
  collector()()
}

/** Speaks for the gateway while there is none. */
let between: Service | undefined

const runGateway: RunGateway = async (config, signal, program) => {
  const [{ busiestClients, checkArchive, Gateway }, { createLog }, { systemClock }, { Tidying }] = await Promise.all([
    import('../main.ts'),
    import('../kernel/log.ts'),
    import('../kernel/clock.ts'),
    import('../kernel/tidying.ts'),
  ])
  const { version } = manifest
  const log = createLog(config.log)
  const status = () => gateway.status('json')[0]
  const store = {
    version,
    now: () => systemClock.wall(),
    export: () => gateway.storeTools()?.export(version),
    check: checkArchive,
  }
  const surroundings =
    program === undefined ? {} : { surroundings: surroundingsOf(program, { examine, status, store }) }
  const gateway: GatewayType = new Gateway(config, { log, clock: systemClock, version, ...surroundings })
  const tidying = new Tidying({ clock: systemClock })
  await gateway.start(signal)
  startIsOver()
  tidying.start()
  const addresses = gateway.addresses()
  const service = new Service({ env: process.env, clock: systemClock, warn: message => log.warn({}, message) })
  await service.ready(addresses.join(', '), () => isWell(gateway.status('json').join(), addresses.length))
  between?.stop()
  between = undefined
  return {
    addresses,
    stop: async ({ again }) => {
      tidying.stop()
      if (again) {
        // To systemd it goes on: the watchdog is told so until the gateway is there again.
        service.stop()
        await service.ready('a backup is being restored', () => true)
        between = service
      } else await service.stopping()
      await gateway.stop().finally(() => log.flush())
    },
    log: () => log.tail,
    reload: config => gateway.reload(config),
    status: form => gateway.status(form),
    store: () => gateway.storeTools(),
    bridges: () => ({
      states: () => gateway.bridgeStates(),
      deadLetters: name => gateway.deadLetters(name),
      retry: name => gateway.retryDeadLetters(name),
      pause: name => gateway.pauseBridge(name),
      resume: name => gateway.resumeBridge(name),
    }),
    clients: limit => busiestClients(gateway.hub, limit),
  }
}

const asMosquitto: MosquittoDependencies<MosquittoLog> = {
  checks,
  isRoot: process.getuid?.() === 0,
  async openVoice(settings, { stdout, stderr }) {
    const [{ MosquittoLog }, { systemClock }] = await Promise.all([
      import('../observe/mosquitto-log.ts'),
      import('../kernel/clock.ts'),
    ])
    return new MosquittoLog({ settings, clock: systemClock, stdout, stderr })
  },
  async runGateway(config, voice, signal) {
    const [{ Gateway }, { watchHub }, { systemClock }] = await Promise.all([
      import('../main.ts'),
      import('../observe/mosquitto-lines.ts'),
      import('../kernel/clock.ts'),
    ])
    const gateway = new Gateway(config, { log: voice, clock: systemClock, version: manifest.version })
    watchHub(gateway.hub, voice)
    await gateway.start(signal)
    startIsOver()
    voice.publish = (topic, payload) => gateway.hub.publish({ topic, payload })
    return {
      addresses: gateway.addresses(),
      stop: () => {
        voice.publish = null
        return gateway.stop()
      },
      reload: config => gateway.reload(config),
    }
  },
  async daemonise(args) {
    await startInBackground(['mosquitto', ...args])
  },
  become,
}

const watchFiles: WatchFiles = async (files, onChange) => {
  const [{ FileWatch }, { createLog }, { systemClock }] = await Promise.all([
    import('../kernel/file-watch.ts'),
    import('../kernel/log.ts'),
    import('../kernel/clock.ts'),
  ])
  const log = createLog({ level: 'error', format: 'auto' })
  const watch = new FileWatch({ files, folders: [], clock: systemClock, log, onChange })
  await watch.start()
  return watch
}

// What the gateway writes is its owner's alone.
process.umask(0o077)

const verify: VerifyStore = async (config, { dryRun }) => {
  const [{ verifyStore }, { createLog }] = await Promise.all([import('../main.ts'), import('../kernel/log.ts')])
  return verifyStore({ dataDir: config.dataDir, dryRun, log: createLog(config.log) })
}

// Whoever reads our lines may go away; that must not end the gateway.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

// An open port keeps the process alive also when no listener holds a socket.
const { port1: alive } = new MessageChannel()
alive.ref()

const io: Io = {
  stdout: line => process.stdout.write(`${line}\n`),
  stderr: line => process.stderr.write(`${line}\n`),
  env: process.env,
  cwd: process.cwd(),
  signals: process,
  version: manifest.version,
}

const loadClient = async () => {
  const [{ systemClock }, { strftime }] = await Promise.all([
    import('../kernel/clock.ts'),
    import('../observe/strftime.ts'),
  ])
  return { stdin: process.stdin, stdout: process.stdout, pid: process.pid, clock: systemClock, strftime }
}

const store: CommandDependencies<MosquittoLog>['store'] = {
  async open(dataDir) {
    const [{ openTools }, { systemClock }] = await Promise.all([import('../main.ts'), import('../kernel/clock.ts')])
    return openTools(dataDir, systemClock)
  },
  import: async options => (await import('../main.ts')).importStore(options),
  streams: { stdin: process.stdin, stdout: process.stdout },
}

const loadScreen = async () => {
  const { systemClock: clock } = await import('../kernel/clock.ts')
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    monotonic: () => clock.monotonic(),
    pause: (milliseconds: number, signal: AbortSignal) =>
      new Promise<void>(resolve => {
        const timer = clock.after(milliseconds, resolve)
        signal.addEventListener('abort', () => {
          timer.cancel()
          resolve()
        })
      }),
  }
}

const explain: Explain = async (program, faults, signal) => {
  const [{ explain }, { createLog }, { systemClock }] = await Promise.all([
    import('../main.ts'),
    import('../kernel/log.ts'),
    import('../kernel/clock.ts'),
  ])
  const page = await explain({
    settings: program.dashboard(),
    name: 'Larder',
    version: manifest.version,
    faults,
    surroundings: surroundingsOf(program, { examine, status: () => undefined }),
    log: createLog({ level: 'info', format: 'auto' }),
    signal,
  })
  // A service that explains runs, though not as it should: whoever restarted it is not left waiting.
  const service = new Service({
    env: process.env,
    clock: systemClock,
    warn: message => process.stderr.write(`larder: ${message}\n`),
  })
  if (page.address !== undefined) await service.ready(`the configuration has faults: ${page.address}`, () => true)
  return {
    address: page.address,
    tell: now => page.tell(now),
    close: async () => {
      service.stop()
      await page.close()
    },
  }
}

async function* examine(subject: DoctorSubject): AsyncGenerator<DoctorFinding> {
  const [{ examineGateway }, { systemClock }] = await Promise.all([import('../main.ts'), import('../kernel/clock.ts')])
  yield* examineGateway(subject, { clock: systemClock })
}

const commands = commandsOf({
  checks,
  runGateway,
  watchFiles,
  explain,
  asMosquitto,
  loadClient,
  discover: async () => (await import('../main.ts')).discover(),
  pause: async milliseconds => {
    const { systemClock } = await import('../kernel/clock.ts')
    await new Promise<void>(resolve => systemClock.after(milliseconds, resolve))
  },
  verify,
  update: debianUpdate(),
  wall: async () => (await import('../kernel/clock.ts')).systemClock.wall(),
  examine,
  loadScreen,
  store,
  passwd: {
    load: () => import('../access/password-file.ts'),
    askSecretly: prompts =>
      askSecretly(prompts, { input: process.stdin, prompt: text => void process.stderr.write(text) }),
  },
})

/** Runs the command that the process was given, and ends the process with its status. */
export async function main(start: { keepCode: () => Promise<boolean> }): Promise<never> {
  keepCode = start.keepCode
  process.exit(await run(process.argv.slice(2), io, commands))
}
