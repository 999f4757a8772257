/** MQTT straight on a connection: TCP (MQTT 3.1.1 §4.2), TLS on TCP, a Unix socket. The handler gets the socket itself. */
import type { Server } from 'node:net'
import { Entrance } from './entrance.ts'
import { urlOf } from './fault.ts'
import type { ConnectionHandler, Listener, ListenerTls } from './ports.ts'
import type { ServerDependencies } from './server.ts'

export interface TcpListenerDependencies extends ServerDependencies {
  readonly onConnection: ConnectionHandler
}

export class TcpListener implements Listener {
  readonly name: string
  readonly #entrance: Entrance
  readonly #onConnection: ConnectionHandler

  constructor(deps: TcpListenerDependencies) {
    this.name = `listener ${urlOf(deps.settings, deps.settings.port)}`
    this.#entrance = new Entrance(deps)
    this.#onConnection = deps.onConnection
  }

  /** Rejects with a `LarderError` LISTEN_IN_USE, LISTEN_DENIED, LISTEN_FAILED or CERTIFICATE_INVALID. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#entrance.open(({ stream, details, stay }) => {
      stay.arrive()
      this.#onConnection(stream, details)
    }, signal)
  }

  prepare(): Promise<void> {
    return this.#entrance.prepare()
  }

  get isOpen(): boolean {
    return this.#entrance.isOpen
  }

  get connections(): number {
    return this.#entrance.connections
  }

  handOver(): Server | undefined {
    return this.#entrance.handOver()
  }

  get tls(): ListenerTls | undefined {
    return this.#entrance.tls
  }

  address(): string {
    return this.#entrance.address
  }

  stopAccepting(): void {
    this.#entrance.stopAccepting()
  }

  async stop(): Promise<void> {
    await this.#entrance.close()
  }
}
