/**
 * An upstream that does exactly what a test says, well or badly. By itself it accepts every connection
 * and acknowledges every message; a test replaces `answer` to do otherwise.
 */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { generate, type IConnectPacket, type IPublishPacket, type Packet, parser } from 'mqtt-packet'
import { onTestFinished } from 'vitest'
import { until } from '../../support/wait.ts'

export class Connection {
  readonly packets: Packet[] = []
  readonly socket: Socket
  closed = false

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
    })
  }

  get connect(): IConnectPacket | undefined {
    return this.packets.find((packet): packet is IConnectPacket => packet.cmd === 'connect')
  }

  get publishes(): IPublishPacket[] {
    return this.packets.filter((packet): packet is IPublishPacket => packet.cmd === 'publish')
  }

  /** Topics of the messages that came, those with DUP marked by a star. */
  get topics(): string[] {
    return this.publishes.map(packet => packet.topic + (packet.dup ? '*' : ''))
  }

  /** `version` decides what an acknowledgement has besides its packet identifier. */
  send(packet: Packet, version: 4 | 5 = 4): void {
    if (!this.socket.destroyed) this.socket.write(generate(packet, { protocolVersion: version }))
  }

  accept(returnCode = 0): void {
    this.send({ cmd: 'connack', returnCode, sessionPresent: false })
  }

  acknowledge(packet: IPublishPacket): void {
    if (packet.qos > 0) this.send({ cmd: 'puback', messageId: packet.messageId as number })
  }

  cut(): void {
    this.socket.destroy()
  }
}

export class ScriptedUpstream {
  readonly connections: Connection[] = []
  readonly #server: Server
  answer: (packet: Packet, connection: Connection, index: number) => void = answerWell

  constructor() {
    this.#server = createServer(socket => {
      const connection = new Connection(socket)
      const index = this.connections.push(connection) - 1
      const stream = parser()
      stream.on('packet', packet => {
        connection.packets.push(packet)
        this.answer(packet, connection, index)
      })
      stream.on('error', () => socket.destroy())
      socket.on('data', chunk => stream.parse(chunk))
    })
  }

  get url(): string {
    return `mqtt://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** `host:port`. */
  get place(): string {
    return this.url.replace('mqtt://', '')
  }

  get publishes(): IPublishPacket[] {
    return this.connections.flatMap(connection => connection.publishes)
  }

  /** The `index`th connection, once its CONNECT has come. */
  async connection(index: number): Promise<Connection> {
    return await until(() => (this.connections[index]?.connect === undefined ? undefined : this.connections[index]), {
      what: () => `connection ${index}, there were ${this.connections.length}`,
      every: 2,
    })
  }

  /** On any free port, or on this one. */
  async listen(port = 0): Promise<void> {
    this.#server.listen(port, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  close(): void {
    this.#server.close()
    for (const connection of this.connections) connection.cut()
  }
}

/** Accepts, acknowledges, answers pings, and closes after DISCONNECT. */
export function answerWell(packet: Packet, connection: Connection): void {
  if (packet.cmd === 'connect') connection.accept()
  else if (packet.cmd === 'publish') connection.acknowledge(packet)
  else if (packet.cmd === 'pingreq') connection.send({ cmd: 'pingresp' })
  else if (packet.cmd === 'disconnect') connection.socket.end()
}

/** An upstream that listens; it goes with the test. */
export async function startUpstream(answer?: ScriptedUpstream['answer'], port?: number): Promise<ScriptedUpstream> {
  const upstream = new ScriptedUpstream()
  if (answer !== undefined) upstream.answer = answer
  await upstream.listen(port)
  onTestFinished(() => upstream.close())
  return upstream
}
