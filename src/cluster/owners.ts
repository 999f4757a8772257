/**
 * Which gateway a client is connected to, as the gateways announce it (aedes' `$SYS/<broker>/new/clients`). When a
 * client has moved, the gateway that it left must not end the session, nor note that it was left.
 */
import type { Emitter, Listener } from '../broker/ports.ts'

const CONNECTED = '$SYS/+/new/clients'
const GONE = '$SYS/+/disconnect/clients'

export class Owners {
  readonly #mq: Emitter
  /** Broker by client identifier: of all that are connected. */
  readonly #owners = new Map<string, string>()
  readonly #onConnected: Listener = (message, done) => {
    this.#owners.set(message.payload.toString(), brokerOf(message.topic))
    done()
  }
  readonly #onGone: Listener = (message, done) => {
    const clientId = message.payload.toString()
    if (this.#owners.get(clientId) === brokerOf(message.topic)) this.#owners.delete(clientId)
    done()
  }

  constructor(deps: { mq: Emitter }) {
    this.#mq = deps.mq
  }

  /** Must come before aedes listens: it closes a session that is taken over, and by then the new owner must be known. */
  listen(): void {
    this.#mq.on(CONNECTED, this.#onConnected)
    this.#mq.on(GONE, this.#onGone)
  }

  stop(): void {
    this.#mq.removeListener(CONNECTED, this.#onConnected)
    this.#mq.removeListener(GONE, this.#onGone)
  }

  /** The gateway that the client is connected to; undefined when none is known. */
  of(clientId: string): string | undefined {
    return this.#owners.get(clientId)
  }
}

function brokerOf(topic: string): string {
  return topic.split('/')[1] as string
}
