/** One connection of a client that does nothing by itself: it sends what it is told to and keeps what comes. */
import { createConnection, type Socket } from 'node:net'
import { generate, type Packet, parser } from 'mqtt-packet'
import { within } from '../../support/wait.ts'
import type { Version } from './reference.ts'

export class Wire {
  /** What came and was not asked for, in order. */
  readonly inbox: Packet[] = []
  readonly version: Version
  readonly #socket: Socket
  readonly #patience: number
  readonly #closed: Promise<void>
  #isClosed = false
  #more: Promise<void>
  #wake: () => void = () => {}

  private constructor(socket: Socket, version: Version, patience: number) {
    this.#patience = patience
    this.#socket = socket
    this.version = version
    this.#more = this.#next()
    const decoder = parser({ protocolVersion: version })
    decoder.on('packet', packet => {
      this.inbox.push(packet)
      this.#notify()
    })
    decoder.on('error', error => socket.destroy(error))
    socket.setNoDelay(true)
    socket.on('data', bytes => decoder.parse(bytes))
    socket.on('error', () => {}) // it ends all the same
    this.#closed = new Promise(resolve => {
      socket.on('close', () => {
        this.#isClosed = true
        this.#notify()
        resolve()
      })
    })
  }

  /** `patience` is the deadline in ms of every wait. */
  static async open(port: number, version: Version, patience: number): Promise<Wire> {
    const socket = createConnection(port, '127.0.0.1')
    const wire = new Wire(socket, version, patience)
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return wire
  }

  send(...packets: Packet[]): void {
    this.#socket.write(Buffer.concat(packets.map(packet => generate(packet, { protocolVersion: this.version }))))
  }

  /** Takes the next packet of this kind out of the inbox, once it is there. */
  async take<P extends Packet>(cmd: P['cmd'], messageId?: number): Promise<P> {
    const find = () => this.inbox.findIndex(it => it.cmd === cmd && (messageId ?? it.messageId) === it.messageId)
    await this.until(
      () => find() >= 0,
      () => `${cmd} ${messageId ?? ''}`,
    )
    return this.inbox.splice(find(), 1)[0] as P
  }

  /** Waits, as packets come, until `condition` holds. */
  async until(condition: () => boolean, what: () => string): Promise<void> {
    while (!condition()) {
      if (this.#isClosed) throw new Error(`the connection was closed, still to come: ${what()}`)
      await within(this.#more, { what: () => `${what()}; here are ${this.#list()}`, timeout: this.#patience })
    }
  }

  /** A round trip: what the broker had written before has come. */
  async ping(): Promise<void> {
    this.send({ cmd: 'pingreq' })
    await this.take('pingresp')
  }

  /** Ends our side, and waits until the broker has noticed and ended its own. */
  async end(): Promise<void> {
    this.#socket.end()
    await this.closed()
  }

  async closed(): Promise<void> {
    await within(this.#closed, { what: 'the end of the connection', timeout: this.#patience })
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** Something came, or the end did. */
  #notify(): void {
    const wake = this.#wake
    this.#more = this.#next()
    wake()
  }

  #next(): Promise<void> {
    return new Promise(resolve => {
      this.#wake = resolve
    })
  }

  #list(): string {
    return this.inbox.map(packet => packet.cmd).join(' ') || 'none'
  }
}
