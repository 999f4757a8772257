/**
 * A slow and faulty line as a TCP relay: what comes in leaves later, or not at all for a while, or is cut. It has no
 * need of privileges; what happens below TCP (loss, reordering) it can only show as what TCP makes of it: delay.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

export class Relay {
  /** ms for each direction. */
  delay = 0
  /** Nothing gets through; connections stand. What was on the way gets lost with them. */
  blackHole = false
  /** Connections that were accepted. */
  connections = 0
  readonly #target: number
  readonly #server = createServer({ pauseOnConnect: true }, socket => this.#carry(socket))
  readonly #sockets = new Set<Socket>()

  /** `target` is a port of this machine. */
  constructor(target: number) {
    this.#target = target
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  /** Every connection is gone, without a word. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  close(): void {
    this.#server.close()
    this.cut()
  }

  #carry(near: Socket): void {
    this.connections++
    const far = connect(this.#target, '127.0.0.1')
    this.#pass(near, far)
    this.#pass(far, near)
    near.resume()
  }

  #pass(from: Socket, to: Socket): void {
    this.#sockets.add(from)
    from.setNoDelay(true)
    from.on('data', chunk => {
      if (this.blackHole) return
      setTimeout(() => {
        if (!to.destroyed && !this.blackHole) to.write(chunk)
      }, this.delay)
    })
    from.on('error', () => {})
    from.on('close', () => {
      this.#sockets.delete(from)
      to.destroy()
    })
  }
}

/** A relay to `target` that goes with the test. */
export async function startRelay(target: number): Promise<Relay> {
  const relay = new Relay(target)
  await relay.listen()
  onTestFinished(() => relay.close())
  return relay
}
