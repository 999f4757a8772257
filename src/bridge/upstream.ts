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
import { connectOptions, type Way, waysOf } from './connect-options.ts'
import { addressesOf, addressOf, type ConnectionSettings, type LinkMemory, type UpstreamAddress } from './connection.ts'
import { dial, readTls } from './dial.ts'
import { type Failure, UpstreamFault } from './faults.ts'
import { limitsOf, type UpstreamLimits } from './limits.ts'
import type { BridgeSettings } from './ports.ts'

/** Milliseconds for one address: name, TCP and TLS together, and again for its CONNACK. */
const CONNECT_TIMEOUT = 30_000
/** Milliseconds for outstanding acknowledgements and the goodbye when the gateway stops. */
const CLOSE_TIMEOUT = 2_000
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
  /** Of the files of TLS as they were read for this connection; undefined before that, and without TLS. */
  #fingerprint: string | undefined
  #error: unknown
  #down = false
  #closing = false
  #firstTimer: Timer | undefined
  #firstAnswers = 0
  readonly #ended: Promise<void>
  #onEnded: () => void = () => {}

  /** Begins to connect. */
  constructor(deps: UpstreamDependencies) {
    this.#deps = deps
    this.#addresses = addressesOf(deps.settings, deps.memory ?? {})
    this.#address = this.#addresses[0] as UpstreamAddress
    this.#ended = new Promise(resolve => {
      this.#onEnded = resolve
    })
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

  /**
   * True when the files of TLS have become others than this connection began with. Rejects with a `LarderError` when
   * they cannot be used.
   */
  async isOutdated(): Promise<boolean> {
    const before = this.#fingerprint
    if (before === undefined) return false
    const tls = await readTls(this.#address, this.#deps.settings)
    return tls?.fingerprint !== before && this.#fingerprint === before
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
    this.#leave()
    const late = this.#deps.clock.after(CLOSE_TIMEOUT, () => this.cut(undefined))
    await this.#ended
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
      const ways = waysOf(this.#deps.settings, this.#deps.memory)
      for (const [index, way] of ways.entries()) {
        const failure = await this.#try(address, way)
        if (failure === undefined) return
        const goesOn = failure.isVersion && index < ways.length - 1
        if (goesOn) this.#remember(way, failure.error)
        else failures.push({ place: address.place, error: failure.error })
        if (this.#giveUp.signal.aborted) return this.#end(failures)
        if (!goesOn) break
      }
    }
    this.#end(failures)
  }

  /** A server that only closed may have had another reason: it is asked again next time. */
  #remember({ version }: Way, error: unknown): void {
    const { memory } = this.#deps
    if (memory === undefined || !UNACCEPTABLE_VERSION.includes(codeOf(error))) return
    if (version === 5) memory.version = 4
    else memory.isPlain = true
  }

  /** Undefined when the connection is up. */
  async #try(address: UpstreamAddress, way: Way): Promise<TryFailure | undefined> {
    const { settings, connect } = this.#deps
    const time = settings.connectTimeout ?? CONNECT_TIMEOUT
    // First, so that nothing can happen to the socket before its client listens.
    const { MqttClient } = (await import('mqtt')).default
    try {
      // Real time, as MQTT.js has for CONNACK: the other end does not follow a clock of ours.
      const signal = AbortSignal.any([this.#giveUp.signal, AbortSignal.timeout(time)])
      // Before anything is opened: a file that cannot be read is no reason to knock.
      const tls = await readTls(address, settings)
      this.#fingerprint = tls?.fingerprint
      const socket = await dial(address, settings, { tls, signal })
      if (this.#giveUp.signal.aborted) {
        socket.destroy()
        return { error: this.#error, isVersion: false }
      }
      const options = { ...connectOptions(settings, way, this.#deps.options), connectTimeout: time }
      const isWeb = address.protocol === 'ws' || address.protocol === 'wss'
      this.#client = isWeb
        ? connect(webOptions(address, options, socket))
        : new MqttClient(() => socket as never, options)
      if (way.isBridge === true) connectAsBridge(this.#client)
    } catch (error) {
      return { error, isVersion: false }
    }
    return await this.#greeted(this.#client, address, way)
  }

  #greeted(client: MqttClient, address: UpstreamAddress, way: Way): Promise<TryFailure | undefined> {
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
        this.#isUp(address, way, packet)
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

  #isUp(address: UpstreamAddress, way: Way, packet: IConnackPacket): void {
    const { memory, settings, clock } = this.#deps
    this.#limits = limitsOf(packet, way, settings)
    const first = addressOf(settings.url)
    if (memory !== undefined) {
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
      const signal = AbortSignal.any([this.#giveUp.signal, late.signal])
      const socket = await dial(first, settings, { tls: await readTls(first, settings), signal })
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

  #end(failures: readonly Failure[]): void {
    if (this.#down) return
    this.#down = true
    this.#firstTimer?.cancel()
    this.#giveUp.abort()
    this.#deps.onDown(new UpstreamFault(failures))
    this.#onEnded()
  }
}

interface TryFailure {
  readonly error: unknown
  /** It may be the version of MQTT that was refused. */
  readonly isVersion: boolean
}

/** Its encoder knows the bit; MQTT.js has no option for it, but shows each packet before it is written. */
function connectAsBridge(client: MqttClient): void {
  client.once('packetsend', packet => Object.assign(packet, { bridgeMode: true }))
  client.connect()
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
