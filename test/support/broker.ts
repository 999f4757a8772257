/**
 * The broker that the feature tests talk to: the built gateway. With LARDER_TEST_BROKER=mosquitto it is
 * Debian's Mosquitto instead, which shows that a test asks for what the standard says and not
 * for what the gateway happens to do.
 */
import { freePort } from './free-port.ts'
import { startGateway } from './gateway.ts'
import { startMosquitto } from './mosquitto.ts'

export const REFERENCE = process.env.LARDER_TEST_BROKER === 'mosquitto'

export interface BrokerOptions {
  /** Messages of QoS 1 and 2 sent to a session and not yet acknowledged, at most. */
  maxInflight?: number
  /** Messages of QoS 1 and 2 that wait for one session, at most. */
  maxQueuedMessages?: number
  /** Bytes of messages that wait for one session, at most. */
  maxQueuedBytes?: number
}

export interface Broker extends AsyncDisposable {
  readonly port: number
  readonly wsPort: number
  /** Process id; undefined for the reference. */
  readonly pid: number | undefined
  /** What it said so far, for failure messages. */
  log(): string
}

export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  return REFERENCE ? await startReference(options) : await startLarder(options)
}

async function startLarder(options: BrokerOptions): Promise<Broker> {
  const limits = [
    ['max_inflight', options.maxInflight],
    ['max_queued_messages', options.maxQueuedMessages],
    ['max_queued_bytes', options.maxQueuedBytes],
  ].flatMap(([key, value]) => (value === undefined ? [] : [`  ${key}: ${value}`]))
  const config = ['name: Test', ...(limits.length === 0 ? [] : ['limits:', ...limits])].join('\n')
  const gateway = await startGateway({ config })
  return {
    port: gateway.port,
    wsPort: gateway.wsPort,
    pid: gateway.pid,
    log: () => gateway.log,
    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  }
}

async function startReference(options: BrokerOptions): Promise<Broker> {
  const wsPort = await freePort()
  const mosquitto = await startMosquitto({
    config: [
      `max_inflight_messages ${options.maxInflight ?? 100}`,
      `max_queued_messages ${options.maxQueuedMessages ?? 100_000}`,
      `max_queued_bytes ${options.maxQueuedBytes ?? 0}`,
      `listener ${wsPort} 127.0.0.1`,
      'protocol websockets',
    ],
  })
  return {
    port: mosquitto.port,
    wsPort,
    pid: undefined,
    log: () => mosquitto.logs().slice(-4_000),
    [Symbol.asyncDispose]: () => mosquitto.remove(),
  }
}
