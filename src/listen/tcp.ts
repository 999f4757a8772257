/** MQTT over plain TCP (MQTT 3.1.1 §4.2). The stream that the handler gets is the socket itself. */
import { createServer } from 'node:net'
import type { ConnectionHandler, Listener } from './ports.ts'
import { peerOf, type ServerDependencies, SOCKET_OPTIONS, SocketServer } from './server.ts'

export interface TcpListenerDependencies extends ServerDependencies {
  readonly onConnection: ConnectionHandler
}

export class TcpListener implements Listener {
  readonly name: string
  readonly #server: SocketServer
  readonly #onConnection: ConnectionHandler

  constructor(deps: TcpListenerDependencies) {
    this.name = `listener ${deps.settings.protocol}://${deps.settings.host}:${deps.settings.port}`
    this.#server = new SocketServer(deps)
    this.#onConnection = deps.onConnection
  }

  /** Rejects with a `LarderError` LISTEN_IN_USE, LISTEN_DENIED or LISTEN_FAILED. */
  async start(signal: AbortSignal): Promise<void> {
    const server = createServer(SOCKET_OPTIONS, socket => {
      const peer = peerOf(socket)
      if (peer === undefined) return
      this.#onConnection(socket, { protocol: 'mqtt', listener: this.address(), ...peer })
    })
    await this.#server.open(server, signal)
  }

  address(): string {
    return this.#server.address
  }

  stopAccepting(): void {
    this.#server.stopAccepting()
  }

  async stop(): Promise<void> {
    await this.#server.close()
  }
}
