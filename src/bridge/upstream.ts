/**
 * One connection to the upstream: each address is tried in turn, and in each version of MQTT that may be spoken, until
 * one lets us in. One MQTT.js client lives and dies with each try. MQTT.js would reconnect and resend from a memory of
 * its own; the spool is the only memory here, so none of that is used.
 *
 * A connection to any but the first address looks now and then whether the first answers again, and ends itself then.
 */
import type { Duplex } from 'node:stream'
import type { IClientOptions, IConnackPacket, MqttClient, connect as mqttConnect } from 'mqtt'
import type { Clock, Timer } from '../kernel/clock.ts'
import { addressesOf, addressOf, type ConnectionSettings, type LinkMemory, type UpstreamAddress } from './connection.ts'
import { dial } from './dial.ts'
import { type Failure, UpstreamFault } from './faults.ts'
import { limitsOf, type ProtocolVersion, type UpstreamLimits } from './limits.ts'
import type { BridgeSettings } from './ports.ts'

/** Milliseconds for one address: name, TCP and TLS together, and again for its CONNACK. */
const CONNECT_TIMEOUT = 30_000
/** Milliseconds for outstanding acknowledgements and the goodbye when the gateway stops. */
const CLOSE_TIMEOUT = 2_000
/** Largest keepalive in seconds that CONNECT can carry (MQTT 3.1.1 §3.1.2.10). */
const MAX_KEEPALIVE = 65_535
/** Milliseconds between two looks whether the first address answers again. */
const FIRST_CHECK_INTERVAL = 60_000
/** Looks in a row at which it must answer: who comes and goes is not gone back to. */
const FIRST_CHECKS = 2
/** Return and reason code for a version that the server does not speak (MQTT 3.1.1 table 3.1, MQTT 5 §3.2.2.2). */
const UNACCEPTABLE_VERSION: readonly unknown[] = [1, 0x84]

export interface UpstreamDependencies {
  readonly settings: BridgeSettings & ConnectionSettings
  readonly connect: typeof mqttConnect
  readonly clock: Clock
  /** Outlives this connection. */
  readonly memory?: LinkMemory
  /** What the bridge's session adds to CONNECT: a will, properties, an unclean session. */
  readonly options?: Partial<IClientOptions>
  /** The upstream has accepted the connection. */
  readonly onUp: () => void
  /** The connection is gone, or did not come about. Called once, last. `error` is an `UpstreamFault`. */
  readonly onDown: (error: unknown) => void
}

export class Upstream {
  readonly #deps: UpstreamDependencies
  readonly #addresses: readonly UpstreamAddress[]
  readonly #giveUp = new AbortController()
  #client: MqttClient | undefined
  #address: UpstreamAddress
  #limits: UpstreamLimits | undefined
  #error: unknown
  /** It has just said that it does not speak MQTT 5. */
  #isOld = false
  #down = false
  #closing = false
  #firstTimer: Timer | undefined
  #firstAnswers = 0
  #onClosed: (() => void) | undefined

  /** Begins to connect. */
  constructor(deps: UpstreamDependencies) {
    this.#deps = deps
    this.#addresses = addressesOf(deps.settings, deps.memory ?? {})
    this.#address = this.#addresses[0] as UpstreamAddress
    void this.#connect()
  }

  /** True while messages may be published: from `onUp` on. */
  get ready(): boolean {
    return this.#limits !== undefined && !this.#down && !this.#closing && this.#client?.stream.destroyed === false
  }

  /** `host:port` of the address that is connected, or tried now. */
  get place(): string {
    return this.#address.place
  }

  /** What the upstream has said about itself; from `onUp` on. */
  get limits(): UpstreamLimits | undefined {
    return this.#limits
  }

  /** MQTT.js' client; from `onUp` on. */
  get client(): MqttClient | undefined {
    return this.#client
  }

  /** Bytes that the socket has not taken yet. */
  get unsent(): number {
    return this.#client?.stream.writableLength ?? 0
  }

  /** Ends the connection at once. `onDown` follows with `error`. */
  cut(error: unknown): void {
    this.#error ??= error
    this.#giveUp.abort(error)
    this.#client?.stream.destroy()
  }

  /** Waits for outstanding acknowledgements, says DISCONNECT and closes, within `CLOSE_TIMEOUT`. `onDown` is called before it resolves. */
  async close(): Promise<void> {
    if (this.#down) return
    const closed = new Promise<void>(resolve => {
      this.#onClosed = resolve
    })
    this.#leave()
    const late = this.#deps.clock.after(CLOSE_TIMEOUT, () => this.cut(undefined))
    await closed
    late.cancel()
  }

  #leave(): void {
    this.#closing = true
    // Before CONNACK there is nothing to wait for, and MQTT.js would wait for ever.
    if (this.#limits === undefined) this.cut(undefined)
    else this.#client?.end()
  }

  async #connect(): Promise<void> {
    const failures: Failure[] = []
    for (const address of this.#addresses) {
      this.#address = address
      for (const version of this.#versions()) {
        const failure = await this.#try(address, version)
        if (failure === undefined) return
        const isRefused = version === 5 && failure.isVersion
        this.#isOld = version === 5 && UNACCEPTABLE_VERSION.includes(codeOf(failure.error))
        if (!isRefused || this.#isFixed) failures.push({ place: address.place, error: failure.error })
        if (this.#giveUp.signal.aborted) return this.#end(failures)
        if (!isRefused) break
      }
    }
    this.#end(failures)
  }

  get #isFixed(): boolean {
    return this.#deps.settings.version !== 'auto'
  }

  #versions(): readonly ProtocolVersion[] {
    const { settings, memory } = this.#deps
    if (settings.version === '5') return [5]
    if (settings.version !== 'auto' || memory?.version === 4) return [4]
    return [5, 4]
  }

  /** Undefined when the connection is up. */
  async #try(address: UpstreamAddress, version: ProtocolVersion): Promise<TryFailure | undefined> {
    const { settings, connect } = this.#deps
    const time = settings.connectTimeout ?? CONNECT_TIMEOUT
    // First, so that nothing can happen to the socket before its client listens.
    const { MqttClient } = (await import('mqtt')).default
    try {
      // Real time, as MQTT.js has for CONNACK: the other end does not follow a clock of ours.
      const signal = AbortSignal.any([this.#giveUp.signal, AbortSignal.timeout(time)])
      const socket = await dial(address, settings, signal)
      if (this.#giveUp.signal.aborted) {
        socket.destroy()
        return { error: this.#error, isVersion: false }
      }
      const options = { ...this.#options(version), connectTimeout: time }
      const isWeb = address.protocol === 'ws' || address.protocol === 'wss'
      this.#client = isWeb
        ? connect(webOptions(address, options, socket))
        : new MqttClient(() => socket as never, options)
    } catch (error) {
      return { error, isVersion: false }
    }
    return await this.#greeted(this.#client, address, version)
  }

  #greeted(client: MqttClient, address: UpstreamAddress, version: ProtocolVersion): Promise<TryFailure | undefined> {
    return new Promise(resolve => {
      let error: unknown
      const fail = (thrown: unknown) => {
        error ??= thrown
        if (this.#limits !== undefined) this.#error ??= thrown
        client.stream.destroy()
      }
      client.on('connect', packet => {
        if (this.#closing || this.#giveUp.signal.aborted) return
        resolve(undefined)
        this.#isUp(address, version, packet)
      })
      client.on('error', fail)
      client.on('disconnect', packet => fail(Object.assign(new Error('DISCONNECT'), { code: packet.reasonCode ?? 0 })))
      client.stream.on('error', fail)
      client.on('close', () => {
        if (this.#limits !== undefined) return this.#end([{ place: address.place, error: this.#error }])
        // A server that knows nothing of MQTT 5 may also just close [MQTT-3.1.2-2].
        const code = codeOf(error)
        resolve({
          error,
          isVersion: error === undefined || code === 'ECONNRESET' || UNACCEPTABLE_VERSION.includes(code),
        })
      })
    })
  }

  #isUp(address: UpstreamAddress, version: ProtocolVersion, packet: IConnackPacket): void {
    const { memory, settings, clock } = this.#deps
    this.#limits = limitsOf(packet, version)
    const first = addressOf(settings.url)
    if (memory !== undefined) {
      if (this.#isOld) memory.version = 4
      memory.address = (settings.urls ?? []).findIndex(url => addressOf(url).place === address.place)
    }
    if (settings.roundRobin !== true && address.place !== first.place) {
      this.#firstTimer = clock.every(FIRST_CHECK_INTERVAL, () => void this.#checkFirst(first))
    }
    this.#deps.onUp()
  }

  async #checkFirst(first: UpstreamAddress): Promise<void> {
    const { settings, clock } = this.#deps
    const late = new AbortController()
    const timer = clock.after(FIRST_CHECK_INTERVAL, () => late.abort())
    try {
      const socket = await dial(first, settings, AbortSignal.any([this.#giveUp.signal, late.signal]))
      socket.destroy()
      this.#firstAnswers++
    } catch {
      this.#firstAnswers = 0
    } finally {
      timer.cancel()
    }
    if (this.#firstAnswers < FIRST_CHECKS || this.#closing || this.#down) return
    this.#error ??= new Error(`${first.place} answers again, and is gone back to`)
    void this.close()
  }

  #options(version: ProtocolVersion): IClientOptions {
    const { clientId, username, password, keepalive } = this.#deps.settings
    return {
      protocolVersion: version,
      clientId,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      clean: true,
      keepalive: Math.min(MAX_KEEPALIVE, Math.ceil(keepalive / 1000)),
      reconnectPeriod: 0,
      resubscribe: false,
      queueQoSZero: false,
      ...this.#deps.options,
    }
  }

  #end(failures: readonly Failure[]): void {
    if (this.#down) return
    this.#down = true
    this.#firstTimer?.cancel()
    this.#giveUp.abort()
    this.#deps.onDown(new UpstreamFault(failures))
    this.#onClosed?.()
  }
}

interface TryFailure {
  readonly error: unknown
  /** It may be the version of MQTT that was refused. */
  readonly isVersion: boolean
}

/** MQTT's code, a number, or the system's, a text. */
function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null | undefined)?.code
}

/** TLS, if any, is done already: inside the socket that is given there is plain HTTP. */
function webOptions({ host, port, path }: UpstreamAddress, options: IClientOptions, socket: Duplex): IClientOptions {
  const wsOptions = { createConnection: () => socket, perMessageDeflate: false }
  return { ...options, protocol: 'ws', host: host.includes(':') ? `[${host}]` : host, port, path, wsOptions }
}

/** `host:port` of a bridge's first address. */
export function placeOf(url: string): { place: string } {
  return addressOf(url)
}
