/**
 * Runs the steps of one case against a broker. It knows every connection of the case, waits with one
 * deadline for what must come, and checks at the end that nothing came that no step took. A failure says which step, what came
 * instead, and all the bytes of the case.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { within } from '../../support/wait.ts'
import type { ConformanceBroker } from './brokers.ts'
import { type Arrival, Connection } from './connection.ts'
import { type Encoding, encode, hex, resolve } from './encode.ts'
import type {
  Case,
  ClosedOptions,
  Fields,
  Message,
  OpenOptions,
  Outgoing,
  Pattern,
  Raw,
  Step,
  Steps,
  Version,
} from './format.ts'
import { difference, show, showHex } from './match.ts'

/** Deadline in ms for what the broker must do at once: long on a loaded machine. */
const DEADLINE_MS = 8_000
/** Connection that `publish` sends by. No case can name it. */
const HELPER = '@'
/** Two rounds: the first sees that all was received, the second that what followed from it was sent. */
const SETTLING_ROUNDS = 2
/** Packet identifiers are 1 to 65535. */
const MAX_PACKET_ID = 65_535
/** Messages of `churn` on the way at once: fewer than any window. */
const CHURN_BATCH = 18
/** Lines of a case that a failure shows: the last ones. */
const TRANSCRIPT_LINES = 300
/** Packet types by the high half of their first byte, in the words of `mqtt-packet`. */
const TYPES =
  '- connect connack publish puback pubrec pubrel pubcomp subscribe suback unsubscribe unsuback pingreq pingresp disconnect auth'.split(
    ' ',
  )

export interface RunDeps {
  broker: ConformanceBroker
  version: Version
  /** Six letters and digits for `~`. */
  prefix: string
  /** Milliseconds for what the broker must do at once. */
  deadline?: number
}

/** Runs a case to its end. Rejects with the transcript when a step fails. */
export async function runCase({ steps }: Case, deps: RunDeps): Promise<void> {
  const run = new Run(deps)
  let step: Step | undefined
  let number = 0
  try {
    for (step of flatten(steps)) {
      number++
      await run.step(step)
      run.checkFaults()
    }
    step = undefined
    await run.finish()
  } catch (error) {
    const where = step === undefined ? 'at the end' : `step ${number}, ${show(step)}`
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`${where}: ${reason}\n${run.transcript()}`, { cause: error })
  } finally {
    await run.close()
  }
}

function flatten(steps: readonly Steps[]): Step[] {
  return (steps as readonly Step[]).flat(Number.POSITIVE_INFINITY) as Step[]
}

class Run {
  readonly #broker: ConformanceBroker
  readonly #encoding: Encoding
  readonly #connections = new Map<string, Connection>()
  readonly #all: Connection[] = []
  readonly #lines: string[] = []
  readonly #start = performance.now()
  readonly #deadline: number
  #helperId = 0

  constructor({ broker, version, prefix, deadline = DEADLINE_MS }: RunDeps) {
    this.#broker = broker
    this.#deadline = deadline
    this.#encoding = { version, prefix, bound: new Map() }
  }

  async step(step: Step): Promise<void> {
    switch (step.do) {
      case 'open':
        await this.#open(step.on, step.options)
        return
      case 'connect':
        return await this.#connect(step)
      case 'send':
        return await this.#on(step.on).write(this.#bytes(step.on, step.what), step.options)
      case 'expect':
        return this.#check(await this.#next(step.on, step.pattern), step.pattern)
      case 'sequence':
        for (const pattern of step.patterns) this.#check(await this.#next(step.on), pattern)
        return
      case 'unordered':
        return await this.#unordered([step.on], step.patterns)
      case 'among':
        return await this.#unordered(step.on, step.patterns)
      case 'nothing':
        await this.#settle(step.on)
        return this.#checkEmpty(this.#on(step.on))
      case 'ignore':
        await this.#settle(step.on)
        this.#on(step.on).arrivals.length = 0
        return
      case 'closed':
        return await this.#closed(step.on, step.options)
      case 'subprotocol':
        return this.#check(
          { cmd: '', packet: { subprotocol: this.#on(step.on).subprotocol } },
          { subprotocol: step.name },
        )
      case 'drop':
        return await this.#drop(step.on)
      case 'disconnect':
        return await this.#disconnect(step.on, step.packet)
      case 'publish':
        return await this.#publish(step.message)
      case 'churn':
        return await this.#churn(step)
      case 'settle':
        return await this.#settle()
      case 'elapse':
        this.#log(`${step.seconds} s pass`)
        await pause(step.seconds * 1000)
        return
      case 'restart':
        this.#log(`the broker is ended (${step.how}) and started again`)
        await this.#broker.restart(step.how)
        this.#connections.delete(HELPER)
        return
    }
  }

  /** What no case allows, whichever step sees it. */
  checkFaults(): void {
    for (const { name, fault } of this.#all) if (fault !== undefined) throw new Error(`at ${name}: ${fault}`)
  }

  /** Nothing is left over, and the broker still serves others. */
  async finish(): Promise<void> {
    await this.#settle()
    this.checkFaults()
    for (const connection of this.#all) this.#checkEmpty(connection)
    await this.#broker.witness()
  }

  transcript(): string {
    const log = this.#broker.log()
    return [
      ...this.#lines.slice(-TRANSCRIPT_LINES).map(line => `    ${line}`),
      ...(log === '' ? [] : ['  the broker said', log]),
    ].join('\n')
  }

  async close(): Promise<void> {
    for (const connection of this.#all) if (connection.open) connection.destroy()
  }

  #log(line: string): void {
    this.#lines.push(`${((performance.now() - this.#start) / 1000).toFixed(3)} ${line}`)
  }

  #on(name: string): Connection {
    const connection = this.#connections.get(name)
    if (connection === undefined) throw new Error(`the case has no connection ${name} yet`)
    return connection
  }

  async #open(name: string, options: OpenOptions): Promise<Connection> {
    const { version } = this.#encoding
    const log = (line: string) => this.#log(line)
    const connection = await within(Connection.open({ name, ports: this.#broker.ports, version, options, log }), {
      what: `a connection for ${name}`,
      timeout: this.#deadline,
    })
    this.#connections.set(name, connection)
    this.#all.push(connection)
    return connection
  }

  async #connect({ on, packet, options, connack }: Extract<Step, { do: 'connect' }>): Promise<void> {
    const connection = await this.#open(on, options)
    await connection.write(encode({ cmd: 'connect', ...packet }, on, this.#encoding))
    const code = this.#encoding.version === 5 ? 'reasonCode' : 'returnCode'
    const arrival = await this.#next(on, { cmd: 'connack' })
    this.#check(arrival, { [code]: 0 })
    this.#check(arrival, connack)
  }

  async #disconnect(on: string, packet: Fields): Promise<void> {
    const connection = this.#on(on)
    await connection.write(encode({ cmd: 'disconnect', ...packet }, on, this.#encoding))
    connection.end()
    await this.#closed(on, {})
    await this.#helperRounds()
  }

  async #drop(on: string): Promise<void> {
    const connection = this.#on(on)
    connection.destroy()
    await this.#until(() => !connection.open, connection, 'its own end')
    await this.#helperRounds()
  }

  /** Whatever the broker was told before, it has noticed when a few round trips of another client are over. */
  async #helperRounds(): Promise<void> {
    const helper = await this.#helper()
    for (let round = 0; round < SETTLING_ROUNDS; round++) await helper.ping()
  }

  async #helper(): Promise<Connection> {
    const known = this.#connections.get(HELPER)
    if (known?.open === true) return known
    await this.#connect({
      do: 'connect',
      on: HELPER,
      packet: { clientId: '~helper' },
      options: { acks: true },
      connack: {},
    })
    return this.#on(HELPER)
  }

  async #publish(message: Message, times = 1): Promise<void> {
    const helper = await this.#helper()
    const qos = message.qos ?? 0
    const packets = Array.from({ length: times }, () => ({
      cmd: 'publish',
      ...message,
      ...(qos === 0 ? {} : { messageId: this.#nextHelperId() }),
    }))
    await helper.write(Buffer.concat(packets.map(packet => encode(packet, HELPER, this.#encoding))))
    if (qos === 0) await helper.ping()
    for (const { messageId } of qos === 0 ? [] : packets) {
      await this.#take(HELPER, { cmd: qos === 1 ? 'puback' : 'pubcomp', messageId, reasonCode: isSuccess })
    }
  }

  #nextHelperId(): number {
    this.#helperId = (this.#helperId % MAX_PACKET_ID) + 1
    return this.#helperId
  }

  async #churn({ on, topic, count, busy }: Extract<Step, { do: 'churn' }>): Promise<void> {
    const taken = busy.map(name => this.#encoding.bound.get(name))
    const message: Message = { topic, payload: 'churn', qos: 1 }
    for (let left = count; left > 0; left -= CHURN_BATCH) {
      const batch = Math.min(left, CHURN_BATCH)
      await this.#publish(message, batch)
      const acks: Buffer[] = []
      while (acks.length < batch) {
        const { packet } = await this.#next(on, { cmd: 'publish' })
        const id = packet.messageId as number
        if (taken.includes(id)) throw new Error(`${on} was sent ${show(packet)}, whose identifier is in use`)
        acks.push(Buffer.from([0x40, 2, id >> 8, id & 0xff]))
      }
      await this.#on(on).write(Buffer.concat(acks))
    }
  }

  async #take(on: string, pattern: Pattern): Promise<void> {
    this.#check(await this.#next(on, pattern), pattern)
  }

  #bytes(on: string, what: Outgoing): Buffer {
    if (Array.isArray(what)) return Buffer.concat(what.map(item => encode(item, on, this.#encoding)))
    if (typeof what !== 'function') return encode(what as Fields, on, this.#encoding)
    const last = (name: string, cmd: string): Fields => this.#on(name).latest.get(cmd) ?? {}
    return this.#bytes(on, what({ last }))
  }

  /** Takes the oldest packet of the pattern's type, or of any type. */
  async #next(on: string, pattern?: Pattern): Promise<Arrival> {
    const connection = this.#on(on)
    const cmd = pattern === undefined ? undefined : commandOf(pattern)
    const find = () => connection.arrivals.findIndex(arrival => cmd === undefined || arrival.cmd === cmd)
    await this.#until(() => find() !== -1 || !connection.open, connection, cmd ?? 'a packet')
    const [arrival] = find() === -1 ? [] : connection.arrivals.splice(find(), 1)
    if (arrival === undefined) throw new Error(`${on} was closed without ${cmd ?? 'a packet'}`)
    return arrival
  }

  async #unordered(names: readonly string[], patterns: readonly Pattern[]): Promise<void> {
    const open = [...patterns]
    while (open.length > 0) {
      const arrival = await this.#next(await this.#first(names, open[0]), open[0])
      const index = open.findIndex(
        pattern => this.#misfit(arrival, pattern, new Map(this.#encoding.bound)) === undefined,
      )
      const [pattern] = index === -1 ? [] : open.splice(index, 1)
      if (pattern === undefined) throw new Error(`${show(arrival.packet)} came, which fits none of ${show(open)}`)
      this.#check(arrival, pattern)
    }
  }

  /** Which of these connections has a packet of the pattern's type first. */
  async #first(names: readonly string[], pattern?: Pattern): Promise<string> {
    const [only = '', ...others] = names
    if (others.length === 0) return only
    const cmd = pattern === undefined ? undefined : commandOf(pattern)
    const find = () => names.find(name => this.#on(name).arrivals.some(arrival => arrival.cmd === cmd))
    const deadline = performance.now() + DEADLINE_MS
    for (let found = find(); ; found = find()) {
      if (found !== undefined) return found
      const changed = Promise.race(names.map(name => this.#on(name).change()))
      const timeout = Math.max(0, deadline - performance.now())
      await within(changed, { what: `${cmd} at one of ${names.join(', ')}`, timeout })
    }
  }

  #check(arrival: Pick<Arrival, 'packet' | 'cmd'> & { bytes?: Buffer }, pattern: Pattern): void {
    const misfit = this.#misfit(arrival, pattern, this.#encoding.bound)
    if (misfit !== undefined) throw new Error(misfit)
  }

  #misfit(
    { packet, bytes }: { packet: Fields; bytes?: Buffer },
    pattern: Pattern,
    bound: Map<string, unknown>,
  ): string | undefined {
    if (!isBytes(pattern)) return difference(packet, resolve(pattern, this.#encoding), bound)
    const wanted = encode(pattern, '', this.#encoding)
    if (bytes?.equals(wanted) === true) return undefined
    return `${showHex(bytes ?? Buffer.alloc(0))} came, not ${showHex(wanted)}`
  }

  async #closed(on: string, { maybe, after, before }: ClosedOptions): Promise<void> {
    const connection = this.#on(on)
    const timeout = Math.max(this.#deadline, (before ?? 0) * 1000)
    await this.#until(() => !connection.open, connection, 'its end', timeout)
    if (maybe !== undefined && connection.arrivals.some(arrival => arrival.cmd === commandOf(maybe)))
      await this.#take(on, maybe)
    const seconds = (connection.closedAt - connection.sentAt) / 1000
    if (after !== undefined && seconds < after) throw new Error(`${on} was closed after ${seconds} s already`)
    if (before !== undefined && seconds > before) throw new Error(`${on} was closed after ${seconds} s only`)
  }

  /** Round trips on all open connections; `last` comes last, so that it has what the others caused. */
  async #settle(last?: string): Promise<void> {
    const live = [...this.#connections.values()].filter(({ open, accepted }) => open && accepted)
    const ordered = [...live.filter(({ name }) => name !== last), ...live.filter(({ name }) => name === last)]
    for (let round = 0; round < SETTLING_ROUNDS; round++) for (const connection of ordered) await connection.ping()
  }

  #checkEmpty({ name, arrivals }: Connection): void {
    if (name === HELPER) return
    const left = arrivals.map(({ packet }) => show(packet))
    if (left.length > 0) throw new Error(`${name} was sent what it should not have been: ${left.join(', ')}`)
  }

  async #until(
    condition: () => boolean,
    connection: Connection,
    what: string,
    timeout = this.#deadline,
  ): Promise<void> {
    const deadline = performance.now() + timeout
    while (!condition()) {
      const left = deadline - performance.now()
      await within(connection.change(), { what: `${what} at ${connection.name}`, timeout: Math.max(0, left) })
      if (connection.fault !== undefined) throw new Error(connection.fault)
    }
  }
}

/** Packet types by the high half of the first byte. */
function commandOf(pattern: Pattern): string {
  const first = typeof pattern === 'string' ? hex(pattern)[0] : pattern.raw
  const cmd = first === undefined ? (pattern as Fields).cmd : TYPES[Number(first) >> 4]
  if (typeof cmd !== 'string') throw new Error(`the pattern ${show(pattern)} has no cmd`)
  return cmd
}

function isBytes(pattern: Pattern): pattern is string | Raw {
  return typeof pattern === 'string' || 'raw' in pattern
}

/** Also of MQTT 3, which has no reason codes. */
function isSuccess(code: unknown): boolean {
  return code === undefined || Number(code) < 0x80
}
