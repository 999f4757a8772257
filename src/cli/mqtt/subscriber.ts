/**
 * `larder sub`: subscribes and prints what comes until it is told to end: by a flag (-C, -E, -W, --retained-only), a signal, or
 * whoever reads its output going away. A connection that is lost is made again, with the same subscriptions.
 */

import type { Connack, ReceivedMessage } from '../../mqtt/client-packets.ts'
import { ReasonCode } from '../../mqtt/reason-codes.ts'
import { filterMatches } from '../../mqtt/topics.ts'
import type { Io, StopSignal } from '../larder.ts'
import { complain, type Machine } from './client.ts'
import { Connection } from './connection.ts'
import { printed } from './format.ts'
import type { ClientSettings } from './settings.ts'
import { openSocket } from './socket.ts'
import { refusal, STATUS_FAILED, STATUS_TIMED_OUT } from './texts.ts'

/** Milliseconds from the loss of a connection to the next, as Mosquitto waits. */
const RECONNECT_DELAY = 1_000
/** Topics that -w shows, each on a line of its own: more than any terminal has lines. */
const MAX_WATCHED = 1_000
const REFUSED = 0x80
const STOP_SIGNALS: readonly StopSignal[] = ['SIGINT', 'SIGTERM']

/** How it ends: the exit status, and when all that had to be said is said. */
interface Ending {
  status: number
  goodbye: Promise<void>
}

export async function subscribe(settings: ClientSettings, machine: Machine, io: Io): Promise<number> {
  const subscriber = new Subscriber(settings, machine, io)
  const onSignal = () => subscriber.end(0, ReasonCode.DISCONNECT_WITH_WILL_MESSAGE)
  const onClosed = () => subscriber.end(STATUS_FAILED)
  for (const signal of STOP_SIGNALS) io.signals.on(signal, onSignal)
  machine.stdout.on('error', onClosed)
  try {
    return await subscriber.run()
  } finally {
    for (const signal of STOP_SIGNALS) io.signals.off(signal, onSignal)
    machine.stdout.off('error', onClosed)
  }
}

class Subscriber {
  readonly #settings: ClientSettings
  readonly #machine: Machine
  readonly #io: Io
  readonly #ended: Promise<Ending>
  #onEnded: (ending: Ending) => void = () => {}
  #ending = false
  /** The one that there is now. */
  #connection: Connection | undefined
  #printed = 0
  /** The last retained message that was cleared, if that is not acknowledged yet. */
  #clearing: Promise<unknown> | undefined
  /** The line of each topic that -w shows. */
  readonly #lines = new Map<string, number>()

  constructor(settings: ClientSettings, machine: Machine, io: Io) {
    this.#settings = settings
    this.#machine = machine
    this.#io = io
    this.#ended = new Promise(resolve => {
      this.#onEnded = resolve
    })
  }

  /** From here on nothing is taken, so that nothing is acknowledged that is not printed. */
  end(status: number, reasonCode: number = ReasonCode.NORMAL_DISCONNECTION): void {
    if (this.#ending) return
    this.#ending = true
    const connection = this.#connection
    const goodbye = this.#clearing?.then(() => connection?.disconnect(reasonCode)) ?? connection?.disconnect(reasonCode)
    this.#onEnded({ status, goodbye: goodbye ?? Promise.resolve() })
  }

  /** Rejects with a ClientFault or the error of the first connection, when that does not come about. */
  async run(): Promise<number> {
    const { clock } = this.#machine
    const { timeout } = this.#settings
    const unreleased = new Set<number>()
    let socket = await openSocket(this.#settings)
    if (timeout !== undefined) clock.after(timeout * 1000, () => this.#timeOut())
    for (;;) {
      const connection: Connection = new Connection({
        socket,
        settings: this.#settings,
        clock,
        unreleased,
        onConnack: connack => this.#onConnack(connack, connection),
        onMessage: message => this.#onMessage(message, connection),
        onSuback: (packetId, codes) => this.#onSuback(packetId, codes),
        ...(this.#settings.debug ? { onDebug: this.#io.stdout } : {}),
      })
      this.#connection = connection
      connection.open()
      const ending = await Promise.race([this.#ended, connection.closed])
      if (typeof ending === 'object') {
        await Promise.race([ending.goodbye, connection.closed])
        return ending.status
      }
      this.#connection = undefined
      for (let next: typeof socket | undefined; next === undefined; ) {
        const waited = new Promise<undefined>(resolve => clock.after(RECONNECT_DELAY, () => resolve(undefined)))
        const ended = await Promise.race([this.#ended, waited])
        if (ended !== undefined) return ended.status
        next = await openSocket(this.#settings).catch(() => undefined)
        if (next !== undefined) socket = next
      }
    }
  }

  #timeOut(): void {
    if (this.#ending) return
    if (!this.#settings.quiet) complain(this.#io, 'Timed out\n')
    this.end(STATUS_TIMED_OUT, ReasonCode.DISCONNECT_WITH_WILL_MESSAGE)
  }

  #onConnack({ code }: Connack, connection: Connection): void {
    const { topics, unsubscribe, version, quiet } = this.#settings
    if (code !== 0) {
      if (!quiet) complain(this.#io, `${refusal(code, version)}\n`)
      this.end(code)
      return
    }
    connection.subscribe(topics)
    for (const topic of unsubscribe) connection.unsubscribe(topic)
  }

  #onSuback(packetId: number, codes: number[]): void {
    const { debug, quiet, exitAfterSubscribing } = this.#settings
    if (debug && !quiet) this.#io.stdout(`Subscribed (mid: ${packetId}): ${codes.join(', ')}`)
    if (codes.every(code => code >= REFUSED)) {
      if (!quiet) complain(this.#io, 'All subscription requests were denied.\n')
      this.end(STATUS_FAILED)
    } else if (exitAfterSubscribing) this.end(0)
  }

  #onMessage(message: ReceivedMessage, connection: Connection): void {
    const { retainedOnly, withoutRetained, filterOut, removeRetained, count, chance } = this.#settings
    const { topic, retain } = message
    if (this.#ending) return
    if (retainedOnly && !retain) {
      this.end(0)
      return
    }
    if (retain && withoutRetained) return
    if (filterOut.some(filter => filterMatches(filter, topic))) return
    if (removeRetained && retain) {
      this.#clearing = connection.publish(topic, { payload: Buffer.alloc(0), qos: 1, retain: true }, {})
    }
    if (chance === 1 || Math.random() < chance) this.#print(message)
    if (count !== undefined && ++this.#printed === count) this.end(0)
  }

  #print(message: ReceivedMessage): void {
    const { stdout, clock, strftime } = this.#machine
    const bytes = printed(message, this.#settings, {
      date: new Date(clock.wall()),
      strftime,
      complain: line => {
        if (!this.#settings.quiet) complain(this.#io, `${line}\n`)
      },
    })
    const shown = this.#settings.watch ? this.#inPlace(message.topic, bytes) : bytes
    if (shown !== '') stdout.write(Buffer.from(shown, 'latin1'))
  }

  /** The text on the line of its topic, with the control sequences of ECMA-48; the first clears the screen. */
  #inPlace(topic: string, bytes: string): string {
    const isFirst = this.#lines.size === 0
    let line = this.#lines.get(topic)
    if (line === undefined) {
      if (this.#lines.size === MAX_WATCHED) return ''
      line = this.#lines.size + 1
      this.#lines.set(topic, line)
    }
    return `${isFirst ? '\x1b[2J' : ''}\x1b[${line};1H\x1b[K${bytes}`
  }
}
