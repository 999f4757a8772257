/**
 * The entry of the bundle: hands the process to the command line. The gateway itself is loaded only when
 * it is to run, so that `larder check` is quick.
 */
import manifest from '../../package.json' with { type: 'json' }
import { cronFault } from '../devices/cron.ts'
import type { MosquittoLog } from '../observe/mosquitto-log.ts'
import { become, startInBackground } from './background.ts'
import { checkCommand } from './check.ts'
import { devicesListCommand } from './devices.ts'
import { importCommand } from './import.ts'
import { type Io, run } from './larder.ts'
import { type MosquittoDependencies, mosquittoCommand, runAsMosquitto } from './mosquitto.ts'
import { passwdCommand } from './passwd.ts'
import { askSecretly } from './prompt.ts'
import { pubCommand } from './pub.ts'
import { reloadCommand } from './reload.ts'
import { type RunGateway, startCommand } from './start.ts'
import { statusCommand } from './status.ts'
import { storeVerifyCommand, type VerifyStore } from './store.ts'
import { subCommand } from './sub.ts'
import type { WatchFiles } from './watching.ts'

const checks = { cron: cronFault }

const runGateway: RunGateway = async (config, signal) => {
  const [{ Gateway }, { createLog }, { systemClock }] = await Promise.all([
    import('../main.ts'),
    import('../kernel/log.ts'),
    import('../kernel/clock.ts'),
  ])
  const { version } = manifest
  const gateway = new Gateway(config, { log: createLog(config.log), clock: systemClock, version })
  await gateway.start(signal)
  return {
    addresses: gateway.addresses(),
    stop: () => gateway.stop(),
    reload: config => gateway.reload(config),
    status: form => gateway.status(form),
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

const commands = {
  start: startCommand({ checks, runGateway, watchFiles, asMosquitto: runAsMosquitto(asMosquitto) }),
  mosquitto: mosquittoCommand(asMosquitto),
  import: importCommand({ checks }),
  check: checkCommand({ checks }),
  reload: reloadCommand({ checks }),
  status: statusCommand({ checks }),
  pub: pubCommand({ load: loadClient }),
  sub: subCommand({ load: loadClient }),
  'devices list': devicesListCommand({ discover: async () => (await import('../main.ts')).discover() }),
  'store verify': storeVerifyCommand({ checks, verify }),
  passwd: passwdCommand({
    load: () => import('../access/password-file.ts'),
    askSecretly: prompts =>
      askSecretly(prompts, { input: process.stdin, prompt: text => void process.stderr.write(text) }),
  }),
}
process.exit(await run(process.argv.slice(2), io, commands))
