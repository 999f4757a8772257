/** The brokers that are compared, each as a process on core 0. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../test/support/free-port.ts'
import { startGateway } from '../../test/support/gateway.ts'
import { findBinary } from '../../test/support/needs.ts'
import { Process } from '../../test/support/process.ts'
import { until } from '../../test/support/wait.ts'

export interface BenchedBroker extends AsyncDisposable {
  readonly name: string
  readonly port: number
  readonly pid: number
}

/** The one that the brokers have. */
export const CORE = 0

export async function startLarder(): Promise<BenchedBroker> {
  const gateway = await startGateway({ config: 'log: { level: warn }', cpu: CORE })
  return {
    name: 'larder',
    port: gateway.port,
    pid: gateway.pid,
    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  }
}

/** Debian's, with as little to do as it can be given: no persistence, no log. Undefined when it is not installed. */
export async function startMosquitto(): Promise<BenchedBroker | undefined> {
  const binary = findBinary('mosquitto')
  if (binary === undefined) return undefined
  const folder = await mkdtemp(join(tmpdir(), 'larder-bench-'))
  const file = join(folder, 'mosquitto.conf')
  const port = await freePort()
  const config = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', 'persistence false', 'log_dest none']
  await writeFile(file, `${config.join('\n')}\n`)
  const broker = new Process('taskset', ['-c', String(CORE), binary, '-c', file])
  await until(() => accepts(port), { what: () => `mosquitto\n${broker.transcript()}` })
  return {
    name: 'mosquitto',
    port,
    pid: broker.pid,
    async [Symbol.asyncDispose]() {
      await broker[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    const tell = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.on('connect', () => tell(true)).on('error', () => tell(false))
  })
}
