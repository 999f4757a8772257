/**
 * One connection to the upstream, through one MQTT.js client that lives and dies with it. MQTT.js would
 * reconnect and resend from a memory of its own; the spool is the only memory here, so none of that
 * is used: clean session, no reconnect, and a message whose acknowledgement did not come is simply not `done`.
 */
import type { IClientOptions, MqttClient, connect as mqttConnect } from 'mqtt'
import type { Clock, Timer } from '../kernel/clock.ts'
import type { BridgeSettings } from './ports.ts'
import type { Route } from './remap.ts'

/** Milliseconds for name look-up, TCP and CONNACK together. */
const CONNECT_TIMEOUT = 30_000
/** Milliseconds for outstanding acknowledgements and the goodbye when the gateway stops. */
const CLOSE_TIMEOUT = 2_000
/** Largest keepalive in seconds that CONNECT can carry (MQTT 3.1.1 §3.1.2.10). */
const MAX_KEEPALIVE = 65_535

export interface UpstreamDependencies {
  readonly settings: BridgeSettings
  readonly connect: typeof mqttConnect
  readonly clock: Clock
  /** The upstream has accepted the connection. */
  readonly onUp: () => void
  /** The connection is gone, or did not come about. Called once, last. `error` is undefined when the upstream just closed it. */
  readonly onDown: (error: unknown) => void
}

export class Upstream {
  readonly #client: MqttClient
  readonly #clock: Clock
  readonly #onDown: (error: unknown) => void
  #error: unknown
  #up = false
  #down = false
  #closing = false
  #onClosed: (() => void) | undefined

  /** Begins to connect. */
  constructor(deps: UpstreamDependencies) {
    this.#clock = deps.clock
    this.#onDown = deps.onDown
    this.#client = deps.connect(optionsOf(deps.settings))
    this.#client.on('connect', () => {
      if (this.#down || this.#closing) return
      this.#up = true
      deps.onUp()
    })
    this.#client.on('error', error => this.cut(error))
    this.#client.stream.on('error', error => {
      this.#error ??= error
    })
    this.#client.on('close', () => this.#onClose())
  }

  /** True while messages may be published: from `onUp` on. */
  get ready(): boolean {
    return this.#up && !this.#down && !this.#closing && !this.#client.stream.destroyed
  }

  /** Bytes that the socket has not taken yet. */
  get unsent(): number {
    return this.#client.stream.writableLength
  }

  /**
   * Publishes; only while `ready`. `done` is called when the upstream has acknowledged (QoS 1) or the
   * socket has taken it (QoS 0), perhaps before this returns, and never when the connection is lost first.
   */
  publish(route: Route, payload: Buffer, flags: { retain: boolean; dup: boolean }, done: () => void): void {
    this.#client.publish(route.topic, payload, { qos: route.qos, ...flags }, error => {
      if (!error && !this.#down) done()
    })
  }

  /** Ends the connection at once. `onDown` follows with `error`. */
  cut(error: unknown): void {
    this.#error ??= error
    this.#client.stream.destroy()
  }

  /** Waits for outstanding acknowledgements, says DISCONNECT and closes, within `CLOSE_TIMEOUT`. `onDown` is called before it resolves. */
  async close(): Promise<void> {
    if (this.#down) return
    this.#closing = true
    let late: Timer | undefined
    await new Promise<void>(resolve => {
      this.#onClosed = resolve
      late = this.#clock.after(CLOSE_TIMEOUT, () => this.cut(undefined))
      // Before CONNACK there is nothing to wait for, and MQTT.js would wait for ever.
      this.#client.end(!this.#client.connected)
    })
    late?.cancel()
  }

  #onClose(): void {
    if (this.#down) return
    this.#down = true
    this.#onDown(this.#error)
    this.#onClosed?.()
  }
}

/** `host:port` of a bridge's `url`. */
export function placeOf(url: string): { host: string; port: number; place: string } {
  const { hostname, port } = new URL(url)
  const number = port === '' ? 1883 : Number(port)
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: number, place: `${hostname}:${number}` }
}

function optionsOf(settings: BridgeSettings): IClientOptions {
  const { host, port } = placeOf(settings.url)
  return {
    protocol: 'mqtt',
    host,
    port,
    protocolVersion: 4,
    clientId: settings.clientId,
    ...(settings.username === undefined ? {} : { username: settings.username }),
    ...(settings.password === undefined ? {} : { password: settings.password }),
    clean: true,
    keepalive: Math.min(MAX_KEEPALIVE, Math.ceil(settings.keepalive / 1000)),
    connectTimeout: CONNECT_TIMEOUT,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
  }
}
