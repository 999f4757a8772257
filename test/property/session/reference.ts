/**
 * What MQTT says about sessions, as plainly as it can be written: who is owed which message, what is
 * retained, what a connection's beginning and end do. `Reference` is told what the clients do; `arrived` is
 * told of every packet that came to one, and throws when the standard does not allow it there and then.
 *
 * Not decided by the standard, and taken as the gateway does it: overlapping subscriptions bring one copy, a
 * message of QoS 2 is passed on when its PUBLISH comes, QoS 0 is not kept for those who are away.
 */
import type { IPublishPacket, Packet, QoS } from 'mqtt-packet'

export type Version = 3 | 4 | 5

export interface Message {
  readonly topic: string
  /** Says which one it is; empty to clear a retained message. */
  readonly payload: string
  readonly qos: QoS
  readonly retain: boolean
}

export interface Subscription {
  readonly filter: string
  readonly qos: QoS
  /** The rest is of MQTT 5. */
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
  readonly identifier?: number
}

export interface Connect {
  readonly version: Version
  readonly clean: boolean
  /** Whether the session outlives this connection: what Clean Session says before MQTT 5, and the expiry interval since. */
  readonly kept: boolean
  /** Messages in flight to the client at most. */
  readonly window: number
  readonly will?: Message
}

/** A message that a session is owed. */
interface Owed {
  readonly message: Message
  readonly qos: QoS
  readonly retain: ReadonlySet<boolean>
  readonly identifiers: readonly number[]
  /** Of QoS 1 and 2, once sent. It stays the same when the message is sent again. */
  packetId?: number
  /** Counts first sendings. */
  sentAs?: number
  /** It was sent on the connection that is there now. */
  isInFlight: boolean
  /** PUBREC was sent: PUBREL is what comes again. Counts PUBRECs. */
  released?: number
}

class Session {
  readonly subscriptions = new Map<string, Subscription>()
  /** QoS 1 and 2, in order. */
  owed: Owed[] = []
  /** QoS 0, on their way on this connection. */
  passing: Owed[] = []
  /** QoS 0 that may come, because it was published while the connection was taken over. */
  perhaps: Owed[] = []
  /** Packet identifiers of the client's own messages of QoS 2, between PUBLISH and PUBREL. */
  readonly received = new Set<number>()
}

class Client {
  session: Session | undefined
  connection: Connect | undefined
  isTakenOver = false
  /** Order of what is sent again on this connection: first sendings, and PUBRECs. */
  lastRepeated = 0
  lastReleased = 0
}

/** How much came, so that a test can see that it was worth its name. */
export interface Tally {
  sent: number
  sentAgain: number
  releasedAgain: number
}

export class Reference {
  readonly tally: Tally = { sent: 0, sentAgain: 0, releasedAgain: 0 }
  readonly #clients = new Map<string, Client>()
  readonly #retained = new Map<string, Message>()
  #sendings = 0

  /** The connection that is there now. */
  connection(name: string): Readonly<Connect> | undefined {
    return this.#client(name).connection
  }

  /** CONNECT. Gives the session present flag that CONNACK must have. */
  connect(name: string, connect: Connect): boolean {
    const client = this.#client(name)
    client.isTakenOver = true
    this.drop(name) // [MQTT-3.1.4-2]
    client.isTakenOver = false
    if (connect.clean) client.session = undefined
    const isPresent = client.session !== undefined
    client.session ??= new Session()
    client.connection = connect
    client.lastRepeated = 0
    client.lastReleased = 0
    return isPresent && connect.version !== 3
  }

  /** The connection breaks: the will is sent [MQTT-3.1.2-8]. */
  drop(name: string): void {
    const will = this.#end(name)?.will
    if (will !== undefined) this.publish(name, will)
  }

  /** DISCONNECT. MQTT 5 may say by it that the session is not kept after all. */
  disconnect(name: string, kept = true): void {
    const client = this.#client(name)
    this.#end(name)
    if (!kept) client.session = undefined
  }

  /** The broker is stopped and started. Wills of those who were connected are held back for longer than any test takes. */
  restart(): void {
    for (const name of this.#clients.keys()) this.#end(name)
  }

  subscribe(name: string, subscription: Subscription): void {
    const session = this.#session(name)
    const isNew = !session.subscriptions.has(subscription.filter)
    session.subscriptions.set(subscription.filter, subscription)
    if (subscription.retainHandling === 2 || (subscription.retainHandling === 1 && !isNew)) return
    for (const message of this.#retained.values()) {
      if (matches(subscription.filter, message.topic)) this.#owe(name, message, [subscription], new Set([true]))
    }
  }

  unsubscribe(name: string, filter: string): boolean {
    return this.#session(name).subscriptions.delete(filter)
  }

  /** A message of `from`. With `packetId`, of QoS 2: a repeated one is not taken again [MQTT-4.3.3-2]. */
  publish(from: string, message: Message, packetId?: number): void {
    if (packetId !== undefined && message.qos === 2) {
      const { received } = this.#session(from)
      if (received.has(packetId)) return
      received.add(packetId)
    }
    if (message.retain) {
      if (message.payload === '') this.#retained.delete(message.topic)
      else this.#retained.set(message.topic, message)
    }
    for (const [name, { session }] of this.#clients) {
      if (session === undefined) continue
      const matching = [...session.subscriptions.values()].filter(
        ({ filter, noLocal }) => matches(filter, message.topic) && !(noLocal && name === from),
      )
      if (matching.length === 0) continue
      // Where overlapping subscriptions differ, the standard does not say whose flag counts.
      const retain = matching.map(subscription => subscription.retainAsPublished && message.retain)
      this.#owe(name, message, matching, new Set(retain))
    }
  }

  /** PUBREL of the client's own message. */
  release(name: string, packetId: number): void {
    this.#session(name).received.delete(packetId)
  }

  /** What `name` has and has not acknowledged, oldest first. */
  inFlight(name: string): readonly Readonly<Owed>[] {
    return this.#session(name).owed.filter(owed => owed.isInFlight)
  }

  /** The client acknowledges: PUBACK or PUBCOMP, or PUBREC only when `half`. */
  acknowledge(name: string, packetId: number, half: boolean): void {
    const session = this.#session(name)
    const owed = session.owed.find(owed => owed.isInFlight && owed.packetId === packetId) as Owed
    if (half) owed.released ??= ++this.#sendings
    else session.owed.splice(session.owed.indexOf(owed), 1)
  }

  /** True when nothing more can be on its way to `name`: all of QoS 0 has come, and the window is as full as it can be. */
  isSettled(name: string): boolean {
    return this.missing(name) === ''
  }

  /** What must still come to `name`, in words. */
  missing(name: string): string {
    const { session, connection } = this.#client(name)
    if (session === undefined || connection === undefined) return ''
    const passing = session.passing.map(({ message }) => `'${message.payload}' at QoS 0`)
    const due = Math.min(connection.window, session.owed.length)
    const inFlight = session.owed.filter(owed => owed.isInFlight)
    const waiting = session.owed.filter(owed => !owed.isInFlight).map(({ message }) => `'${message.payload}'`)
    return [...passing, ...(inFlight.length < due ? [`${due - inFlight.length} of ${waiting.join(', ')}`] : [])].join(
      ' and ',
    )
  }

  /** A packet came to `name`. Throws when it should not have. */
  arrived(name: string, packet: Packet): void {
    if (packet.cmd === 'publish') this.#publishArrived(name, packet)
    else if (packet.cmd === 'pubrel') this.#pubrelArrived(name, packet.messageId as number)
    else throw new Error(`${name} was sent ${packet.cmd}, which nobody asked for`)
  }

  #publishArrived(name: string, packet: IPublishPacket): void {
    const client = this.#client(name)
    const session = this.#session(name)
    const what = `'${packet.payload}' on ${packet.topic} at QoS ${packet.qos}${packet.dup ? ' (DUP)' : ''}`
    const wrong = (why: string): Error => new Error(`${name} was sent ${what}: ${why}`)
    const packetId = packet.messageId ?? 0
    const again = session.owed.find(owed => owed.packetId === packetId)
    const owed = again ?? this.#nextOwed(session, packet)
    if (owed === undefined) throw wrong('it is not owed that')
    if (owed.message.payload !== packet.payload.toString() || owed.message.topic !== packet.topic)
      throw wrong(`not '${owed.message.payload}' on ${owed.message.topic}`)
    if (owed.qos !== packet.qos) throw wrong(`not at QoS ${owed.qos}`)
    if (!owed.retain.has(packet.retain)) throw wrong(`RETAIN is ${packet.retain}`)
    const identifiers = [packet.properties?.subscriptionIdentifier ?? []].flat().sort()
    const expected = client.connection?.version === 5 ? owed.identifiers : []
    if (String(identifiers) !== String(expected))
      throw wrong(`subscription identifiers ${identifiers} rather than ${expected}`)
    if (again === undefined) this.tally.sent++
    else this.tally.sentAgain++
    if (packet.qos === 0) {
      if (packet.dup) throw wrong('DUP at QoS 0') // [MQTT-3.3.1-2]
      session.passing = session.passing.filter(it => it !== owed)
      session.perhaps = session.perhaps.filter(it => it !== owed)
      return
    }
    if (again === undefined) {
      if (packetId === 0) throw wrong('without a packet identifier') // [MQTT-2.3.1-1]
      if (packet.dup) throw wrong('DUP on what was never sent before')
      owed.packetId = packetId
      owed.sentAs = ++this.#sendings
    } else {
      if (owed.isInFlight) throw wrong('twice on one connection, or with an identifier that is in use') // [MQTT-4.4.0-1]
      if (owed.released !== undefined) throw wrong('after PUBREC, where PUBREL should come') // [MQTT-4.3.3-1]
      if (!packet.dup) throw wrong('sent again without DUP') // [MQTT-3.3.1-1]
      if ((owed.sentAs as number) < client.lastRepeated) throw wrong('sent again out of order') // [MQTT-4.6.0-1]
      client.lastRepeated = owed.sentAs as number
    }
    this.#putInFlight(client, owed, wrong)
  }

  #pubrelArrived(name: string, packetId: number): void {
    const client = this.#client(name)
    const wrong = (why: string): Error => new Error(`${name} was sent PUBREL ${packetId}: ${why}`)
    const owed = this.#session(name).owed.find(owed => owed.packetId === packetId)
    if (owed === undefined) throw wrong('nothing has that identifier')
    if (owed.released === undefined) throw wrong('before its PUBREC')
    if (owed.isInFlight) throw wrong('twice on one connection')
    const { session, connection } = client as { session: Session; connection: Connect }
    // [MQTT-4.6.0-4], where they all fit into the window and so are sent at once.
    if (session.owed.length <= connection.window && owed.released < client.lastReleased)
      throw wrong('out of the order of the PUBRECs')
    client.lastReleased = owed.released
    this.tally.releasedAgain++
    this.#putInFlight(client, owed, wrong)
  }

  #putInFlight(client: Client, owed: Owed, wrong: (why: string) => Error): void {
    owed.isInFlight = true
    const { session, connection } = client as { session: Session; connection: Connect }
    const count = session.owed.filter(owed => owed.isInFlight).length
    if (count > connection.window) throw wrong(`${count} are in flight, and ${connection.window} is the most`)
  }

  /** The message of this PUBLISH, not sent before: the first of those whose order is promised [MQTT-4.6.0-6]. */
  #nextOwed(session: Session, packet: IPublishPacket): Owed | undefined {
    const list =
      packet.qos === 0
        ? [...session.passing, ...session.perhaps]
        : session.owed.filter(owed => owed.sentAs === undefined)
    const found = list.find(
      ({ message, qos }) =>
        message.topic === packet.topic && message.payload === packet.payload.toString() && qos === packet.qos,
    )
    if (found === undefined) return undefined
    return list.find(
      ({ message, qos }) => message.topic === packet.topic && message.qos === found.message.qos && qos === found.qos,
    )
  }

  #owe(name: string, message: Message, by: readonly Subscription[], retain: ReadonlySet<boolean>): void {
    const { session, connection, isTakenOver } = this.#client(name) as Client & { session: Session }
    const qos = Math.min(message.qos, Math.max(...by.map(subscription => subscription.qos))) as QoS
    const identifiers = by.flatMap(subscription => subscription.identifier ?? []).sort()
    const owed: Owed = { message, qos, retain, identifiers, isInFlight: false }
    if (qos > 0) session.owed.push(owed)
    else if (connection !== undefined) session.passing.push(owed)
    else if (isTakenOver) session.perhaps.push(owed)
  }

  #end(name: string): Connect | undefined {
    const client = this.#client(name)
    const { connection, session } = client
    client.connection = undefined
    if (connection === undefined || session === undefined) return undefined
    if (!connection.kept) client.session = undefined
    session.passing = []
    session.perhaps = []
    for (const owed of session.owed) owed.isInFlight = false
    return connection
  }

  #client(name: string): Client {
    let client = this.#clients.get(name)
    if (client === undefined) {
      client = new Client()
      this.#clients.set(name, client)
    }
    return client
  }

  #session(name: string): Session {
    const { session } = this.#client(name)
    if (session === undefined) throw new Error(`${name} has no session`)
    return session
  }
}

/** Topic matching, word for word (§4.7). */
function matches(filter: string, topic: string): boolean {
  const levels = topic.split('/')
  const wanted = filter.split('/')
  for (const [i, level] of wanted.entries()) {
    if (level === '#') return true
    if (i >= levels.length || (level !== '+' && level !== levels[i])) return false
  }
  return wanted.length === levels.length
}
