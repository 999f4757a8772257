/**
 * `larder pub`: connects, publishes one message, one message several times or one for each line of stdin, waits for the
 * acknowledgements and says goodbye. A connection that goes before that is a fault: nobody would know what arrived.
 */
import { readFile } from 'node:fs/promises'
import type { Connack } from '../../mqtt/client-packets.ts'
import type { Io } from '../larder.ts'
import { complain, type Machine } from './client.ts'
import { Connection } from './connection.ts'
import type { ClientSettings } from './settings.ts'
import { openSocket } from './socket.ts'
import { ClientFault, reasonText, refusal, STATUS_LOST } from './texts.ts'

const NEWLINE = 0x0a
const REFUSED = 0x80

/** Resolves with exit status 0 when all is acknowledged. */
export async function publish(settings: ClientSettings, machine: Machine, io: Io): Promise<number> {
  const [topic] = settings.topics
  const input = settings.payload
  if (topic === undefined || input === undefined)
    throw new ClientFault("Error: Both topic and message must be supplied.\n\nUse 'larder pub --help' to see usage.\n")
  if (topic === '' && settings.properties.publish.topicAlias === undefined)
    throw new ClientFault("Error: Invalid input. Does your topic contain '+' or '#'?\n")
  const payload = input.is === 'lines' ? undefined : await payloadOf(input, machine.stdin)
  const socket = await openSocket(settings)
  let onConnack: (connack: Connack) => void = () => {}
  const connack = new Promise<Connack>(resolve => {
    onConnack = resolve
  })
  const connection = new Connection({
    socket,
    settings,
    clock: machine.clock,
    unreleased: new Set(),
    onConnack,
    ...(settings.debug ? { onDebug: io.stdout } : {}),
  })
  connection.open()
  const lost = connection.closed.then(() => {
    throw new ClientFault('Error: The connection was lost.\n', STATUS_LOST)
  })
  lost.catch(() => {}) // also after all was done
  const { code, properties } = await Promise.race([connack, lost])
  if (code !== 0) {
    const outcome =
      settings.version === 5
        ? 'A network protocol error occurred when communicating with the broker.'
        : 'The connection was refused.'
    socket.destroy()
    throw new ClientFault(`${refusal(code, settings.version)}\nError: ${outcome}\n`, code)
  }
  const window = Math.min(settings.maxInflight, properties.receiveMaximum ?? settings.maxInflight)
  const sender = new Sender(connection, { settings, topic, window, io })
  const work =
    payload === undefined ? sendLines(sender, machine.stdin) : sendRepeatedly(sender, payload, settings, machine)
  await Promise.race([work, lost])
  await connection.disconnect()
  return 0
}

/** The payload of a message that is not made of lines. Throws ClientFault when it cannot be read. */
export async function payloadOf(
  input: Exclude<NonNullable<ClientSettings['payload']>, { is: 'lines' }>,
  stdin: AsyncIterable<Buffer>,
): Promise<Buffer> {
  switch (input.is) {
    case 'nothing':
      return Buffer.alloc(0)
    case 'text':
      return Buffer.from(input.text)
    case 'file':
      return await readFile(input.file).catch(() => {
        throw new ClientFault(
          `Error: Unable to open file "${input.file}".\nError loading input file "${input.file}".\n`,
        )
      })
    case 'input': {
      const chunks: Buffer[] = []
      for await (const chunk of stdin) chunks.push(chunk)
      const all = Buffer.concat(chunks)
      if (all.length === 0) throw new ClientFault('Error: Zero length input.\nError loading input from stdin.\n')
      return all
    }
  }
}

async function sendRepeatedly(
  sender: Sender,
  payload: Buffer,
  { repeat, repeatDelay }: ClientSettings,
  { clock }: Machine,
): Promise<void> {
  for (let sent = 1; ; sent++) {
    await sender.send(payload)
    await sender.settled()
    if (sent === repeat) return
    if (repeatDelay > 0) await new Promise<void>(resolve => clock.after(repeatDelay * 1000, resolve))
  }
}

/** What stands behind the last line break is a line too. */
async function sendLines(sender: Sender, stdin: AsyncIterable<Buffer>): Promise<void> {
  /** A line that is cut; a payload that no packet can hold ends it. */
  let parts: Buffer[] = []
  for await (const chunk of stdin) {
    let at = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, at)) {
      await sender.send(Buffer.concat([...parts, chunk.subarray(at, end)]))
      parts = []
      at = end + 1
    }
    if (at < chunk.length) parts.push(chunk.subarray(at))
  }
  if (parts.length > 0) await sender.send(Buffer.concat(parts))
  await sender.settled()
}

/** Publishes with no more than a window of messages on the way. */
class Sender {
  readonly #connection: Connection
  readonly #options: { settings: ClientSettings; topic: string; window: number; io: Io }
  readonly #onTheWay = new Set<Promise<void>>()
  #isFirst = true

  constructor(connection: Connection, options: { settings: ClientSettings; topic: string; window: number; io: Io }) {
    this.#connection = connection
    this.#options = options
  }

  /** Resolves when it is on the way. */
  async send(payload: Buffer): Promise<void> {
    const { settings, topic, window } = this.#options
    while (this.#onTheWay.size >= window) await Promise.race(this.#onTheWay)
    const { qos, retain, version, properties } = settings
    // A topic alias stands for the topic from the second message on.
    const isAliased = version === 5 && properties.publish.topicAlias !== undefined && !this.#isFirst
    this.#isFirst = false
    const sent = this.#publish(isAliased ? '' : topic, { payload, qos, retain })
    const done: Promise<void> = sent.then(() => void this.#onTheWay.delete(done))
    this.#onTheWay.add(done)
  }

  /** Resolves when all that was sent is acknowledged. */
  async settled(): Promise<void> {
    await Promise.all(this.#onTheWay)
  }

  async #publish(topic: string, message: Parameters<Connection['publish']>[1]): Promise<void> {
    const { settings, io } = this.#options
    const { packetId, reasonCode } = await this.#connection.publish(topic, message, settings.properties.publish)
    if (reasonCode >= REFUSED && !settings.quiet)
      complain(io, `Warning: Publish ${packetId} failed: ${reasonText(reasonCode)}.\n`)
  }
}
