/**
 * The entry of the bundle: hands the process to the command line. The gateway itself is loaded only when
 * it is to run, so that `larder check` is quick.
 */
import manifest from '../../package.json' with { type: 'json' }
import { cronFault } from '../devices/cron.ts'
import { checkCommand } from './check.ts'
import { type Io, run } from './larder.ts'
import { type RunGateway, startCommand } from './start.ts'

const checks = { cron: cronFault }

const runGateway: RunGateway = async (config, signal) => {
  const [{ Gateway }, { createLog }, { systemClock }] = await Promise.all([
    import('../main.ts'),
    import('../kernel/log.ts'),
    import('../kernel/clock.ts'),
  ])
  const gateway = new Gateway(config, { log: createLog(config.log), clock: systemClock })
  await gateway.start(signal)
  return { addresses: gateway.addresses(), stop: () => gateway.stop() }
}

// What the gateway writes is its owner's alone.
process.umask(0o077)

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

const commands = { start: startCommand({ checks, runGateway }), check: checkCommand({ checks }) }
process.exit(await run(process.argv.slice(2), io, commands))
