/**
 * The hub: aedes with our sessions. It keeps aedes' hooks, events, client registry and its two seams
 * (`mq`, `persistence`), and carries a message from whoever publishes it to those who wait for it:
 *
 *   QoS 0   to who is online, now
 *   QoS 1   into the queues of persistent sessions (the store), which online sessions empty at once; to
 *           clean sessions now; the publisher is acknowledged when the store says that it is settled
 *   QoS 2   into the store first, with the publisher's packet identifier; then as QoS 1
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { EnhancedAuthentication } from '../access/ports.ts'
import { SPOOL_CLIENT_PREFIX } from '../bridge/ports.ts'
import type { Clock } from '../kernel/clock.ts'
import { LarderError } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { Wheel } from '../kernel/wheel.ts'
import { Message } from '../mqtt/message.ts'
import { encodeForwarded } from '../mqtt/publish-properties.ts'
import { TopicCache } from '../mqtt/topic-cache.ts'
import { topicFilterFault, topicNameFault } from '../mqtt/topics.ts'
import type { PacketTrace } from '../observe/ports.ts'
import { AedesBase, type Hooks, type PublishRequest } from './aedes.ts'
import { DepartedSessions } from './departed.ts'
import { LocalEmitter } from './emitter.ts'
import type { Limits } from './limits.ts'
import { Links, type Source } from './links.ts'
import { Memory } from './memory.ts'
import { FlushTurn } from './outbox.ts'
import { Parking } from './parking.ts'
import type { Emitter, Listener, Persistence, Settlement } from './ports.ts'
import { type ConnectionRules, defaultRules } from './rules.ts'
import { type ConnectionDetails, Session } from './session.ts'
import { type Picked, SharedSubscriptions } from './shared.ts'
import { SpentChunks } from './spent-chunks.ts'
import { type HubStats, newStats } from './stats.ts'
import { Strangers } from './strangers.ts'
import { NEVER_EXPIRES } from './terms.ts'

/** Wills that a crash left behind are published after four of these, in milliseconds, unless their clients came back. */
const HEARTBEAT_MS = 5_000
const LINK_STATE = /^\$SYS\/broker\/connection\/[^/]+\/state$/

export interface HubDependencies {
  persistence: Persistence
  limits: Limits
  clock: Clock
  log: Log
  /** Defaults to one within this process. */
  mq?: Emitter
  hooks?: Partial<Hooks>
  /** MQTT 5 enhanced authentication; absent, there is no method. */
  enhancedAuthentication?: EnhancedAuthentication | undefined
}

export class Hub extends AedesBase {
  readonly limits: Limits
  /** Of connections about which nothing more is said. */
  readonly defaultRules: ConnectionRules
  readonly clock: Clock
  readonly log: Log
  readonly stats: HubStats = newStats()
  readonly turn = new FlushTurn()
  /** Of what connections wait for. */
  readonly wheel: Wheel
  readonly topics = new TopicCache()
  readonly shared = new SharedSubscriptions({ hub: this })
  readonly links: Links
  readonly departed: DepartedSessions
  readonly parking: Parking
  readonly memory: Memory
  /** The rules of the listener at an address; undefined when there is none any more. Set before it is asked, or not at all. */
  rulesAt: ((listener: string) => ConnectionRules | undefined) | null = null
  /** Told of each packet. Set before there are connections, or not at all. */
  trace: PacketTrace | null = null
  readonly enhancedAuthentication: EnhancedAuthentication | null
  readonly strangers = new Strangers()
  readonly spentChunks = new SpentChunks()
  readonly #hasForwardHook: boolean
  readonly #hasPublishedHook: boolean
  readonly #arrivals = `$SYS/${this.id}/new/clients`
  readonly #departures = `$SYS/${this.id}/disconnect/clients`
  /** Sessions that are being ended. */
  readonly #ending = new Map<string, Promise<void>>()

  constructor(deps: HubDependencies) {
    super({
      authorizePublish: protectOwnTopics,
      ...deps.hooks,
      mq: deps.mq ?? new LocalEmitter(),
      persistence: deps.persistence,
      heartbeatInterval: HEARTBEAT_MS,
    })
    this.limits = deps.limits
    this.defaultRules = defaultRules(deps.limits)
    this.clock = deps.clock
    this.log = deps.log
    this.wheel = new Wheel({ clock: deps.clock })
    this.enhancedAuthentication = deps.enhancedAuthentication ?? null
    this.departed = new DepartedSessions({
      clock: deps.clock,
      time: deps.persistence.time,
      onExpired: clientId => void this.#expire(clientId),
    })
    this.links = new Links({ hub: this })
    this.parking = new Parking({ clock: deps.clock })
    this.memory = new Memory({ limits: deps.limits, clock: deps.clock, log: deps.log })
    this.#hasForwardHook = deps.hooks?.authorizeForward !== undefined
    this.#hasPublishedHook = deps.hooks?.published !== undefined
    this.handle = (stream: Duplex, request?: IncomingMessage & { connDetails?: ConnectionDetails }) =>
      new Session({ hub: this, stream, details: request?.connDetails })
  }

  /** A connection was accepted. The session lives until the stream closes. `rules` are those of where it came in. */
  accept(stream: Duplex, details: ConnectionDetails, rules?: ConnectionRules): Session {
    const session = new Session({ hub: this, stream, details, rules })
    this.emit('connection', session)
    return session
  }

  /** Opens the store, and takes up what is to happen to the sessions in it. */
  override async listen(): Promise<void> {
    await super.listen()
    const { persistence } = this
    for (const clientId of [...persistence.queues.clientIds()]) {
      for (const subscription of await persistence.subscriptionsByClient({ id: clientId })) {
        this.shared.add(clientId, subscription)
      }
      const { interval = NEVER_EXPIRES, leftAt = persistence.time.now() } = persistence.queues.expiryOf(clientId)
      const longest = clientId.startsWith(SPOOL_CLIENT_PREFIX) ? NEVER_EXPIRES : this.longestExpiry
      const seconds = Math.min(interval, longest)
      if (seconds === NEVER_EXPIRES) continue
      const left = leftAt + seconds * 1000 - persistence.time.now()
      if (left > 0) this.departed.add(clientId, left, null)
      else await this.#expire(clientId)
    }
  }

  /** Aedes' own, for sessions that close at once: another connection of the same client has to go [MQTT-3.1.4-2]. */
  override registerClient(session: Session): void {
    this.clients[session.id]?.close()
    this.connectedClients++
    this.clients[session.id] = session
    this.emit('client', session)
    // Aedes itself listens there, for clients that come to other gateways.
    this.#announce(this.#arrivals, session.id, 1)
  }

  override unregisterClient(session: Session): void {
    this.deleteClient(session.id)
    this.emit('clientDisconnect', session)
    this.#announce(this.#departures, session.id, 0)
  }

  /**
   * Aedes tells other gateways, and whoever listens, of clients that come and go. Mostly that is nobody but `known`
   * listeners, and a message that nobody hears would cost as much as the rest of CONNECT.
   */
  #announce(topic: string, clientId: string, known: number): void {
    const isHeard =
      !(this.mq instanceof LocalEmitter && this.mq.count(topic) <= known) ||
      this.shared.size > 0 ||
      this.#hasPublishedHook ||
      this.listenerCount('publish') > 0 ||
      this.persistence.queues.spools(topic).length > 0
    if (isHeard) this.publish({ topic, payload: clientId })
  }

  /** Seconds that a session may outlive its connection; `NEVER_EXPIRES` for ever. */
  get longestExpiry(): number {
    return Math.min(this.limits.maxSessionExpiry / 1000, NEVER_EXPIRES)
  }

  /** Whether there is room for the session of `clientId`: it is there already, or there are not as many as may be. */
  hasRoomFor(clientId: string): boolean {
    const { maxSessions } = this.limits
    if (maxSessions === Number.POSITIVE_INFINITY) return true
    const { queues } = this.persistence
    if (this.clients[clientId] !== undefined || queues.find(clientId) !== undefined) return true
    const ids = new Set(Object.keys(this.clients))
    for (const id of queues.clientIds()) if (!id.startsWith(SPOOL_CLIENT_PREFIX)) ids.add(id)
    return ids.size < maxSessions
  }

  /** Closes every session; resolves when they are. The store is closed by whoever opened it. */
  async shut(): Promise<void> {
    this.departed.stop()
    await new Promise<void>(resolve => this.close(resolve))
  }

  #expire(clientId: string): Promise<void> {
    this.stats.expiredSessions++
    return this.discard(clientId)
  }

  /**
   * Ends a session that has no connection. What it had of shared subscriptions goes to other members. Until the
   * promise resolves, nobody may open the session anew: see `ending`.
   */
  discard(clientId: string): Promise<void> {
    const ending = this.#discard(clientId).finally(() => {
      if (this.#ending.get(clientId) === ending) this.#ending.delete(clientId)
    })
    this.#ending.set(clientId, ending)
    return ending
  }

  /** Resolves when the session of this client, which is about to end, has ended; undefined when none is. */
  ending(clientId: string): Promise<void> | undefined {
    return this.#ending.get(clientId)
  }

  async #discard(clientId: string): Promise<void> {
    const { persistence, shared } = this
    const filters = shared.filtersOf(clientId)
    for (const filter of filters) shared.remove(clientId, filter)
    const queue = filters.length === 0 ? undefined : persistence.queues.find(clientId)
    if (queue !== undefined) {
      for await (const delivery of queue.all()) {
        if (delivery.isShared && delivery.qos === 1) shared.handOn(clientId, filters, delivery, ignore)
      }
    }
    await persistence.queues.discard(clientId)
  }

  /** Aedes' publish: for the gateway itself, plug-ins and aedes' own announcements. `done` when the message is settled. */
  override publish(request: PublishRequest, client?: unknown, done?: (error?: Error | null) => void): void {
    const callback = typeof client === 'function' ? (client as (error?: Error | null) => void) : done
    const fault = topicNameFault(request.topic, this.limits.maxTopicLevels)
    if (fault !== undefined) {
      callback?.(new Error(fault))
      return
    }
    const session = client instanceof Session ? client : null
    const { id: clientId, userName } = session ?? { id: request.clientId, userName: request.userName }
    if (!this.#mayStillSay(request)) {
      this.log.warn({ client: clientId, topic: request.topic }, 'a will is not published: its client has no right to')
      callback?.()
      return
    }
    const settlement = callback === undefined ? null : settlementOf(callback)
    this.route(this.messageOf({ ...request, clientId, userName }), session, settlement)
  }

  /** Whether a will that a crash left behind is still within the rights of its client, by the rules of where it came in. */
  #mayStillSay({ listener, clientId = '', userName, topic }: PublishRequest): boolean {
    if (listener === undefined) return true
    const rules = this.rulesAt === null ? this.defaultRules : this.rulesAt(listener)
    if (rules === undefined || isOwnTopic(topic, rules)) return false
    return rules.access?.mayPublish({ id: clientId, userName }, topic) !== false
  }

  /** A message from what a publisher says. */
  messageOf(request: PublishRequest): Message {
    const { topic, payload = '', qos = 0, retain = false, clientId, userName, properties } = request
    const messageExpiryInterval = properties?.messageExpiryInterval ?? request.messageExpiryInterval
    return Message.of({
      topic,
      payload: Buffer.from(payload),
      qos,
      retain: retain && this.limits.retainAvailable,
      clientId,
      userName,
      forwarded: request.forwarded ?? (properties === undefined ? undefined : encodeForwarded(properties)),
      expiresAt: messageExpiryInterval === undefined ? undefined : this.expiryOf(messageExpiryInterval),
    })
  }

  /** When a message that is published now with this Message Expiry Interval (seconds) expires, in the time of the store. */
  expiryOf(messageExpiryInterval: number): number {
    return this.persistence.time.now() + messageExpiryInterval * 1000
  }

  override subscribe(filter: string, listener: Listener, done?: () => void): void {
    const fault = topicFilterFault(filter, this.limits.maxTopicLevels)
    if (fault !== undefined) throw new Error(fault)
    this.mq.on(filter, listener, done)
  }

  override unsubscribe(filter: string, listener: Listener, done?: () => void): void {
    this.mq.removeListener(filter, listener, done)
  }

  /**
   * Carries a message to those who wait for it. `settlement` is told when its publisher may be
   * acknowledged; `received` names the publisher's packet identifier when its session is to remember it; `source` is
   * the link that it came by, if it came by one (`links.ts`). Returns false when the store has no room for it: then nobody gets it, and `settlement` is told so.
   */
  route(
    message: Message,
    session: Session | null,
    settlement: Settlement | null,
    received?: { clientId: string; packetId: number },
    source?: Source,
  ): boolean {
    const { queues } = this.persistence
    const { targets, live } = this.shared.pick(message)
    const matching = message.qos === 0 ? queues.spools(message.topic) : queues.targets(message.topic)
    const others = this.links.depart(message, matching, source)
    if (others === null) {
      settlement?.settled()
      return true
    }
    if (message.qos === 0) {
      if (message.retain) queues.retain(message)
      if (others.length > 0) queues.accept(message, others, null)
      this.#deliver(message, session, live)
      settlement?.settled()
      return true
    }
    const all = targets.length === 0 ? others : others.concat(targets)
    if (message.qos === 1) {
      const isTaken = queues.accept(message, all, settlement)
      if (isTaken) this.#deliver(message, session, live)
      return isTaken
    }
    const whenDurable = {
      settled: () => {
        this.#deliver(message, session, live)
        settlement?.settled()
      },
      refused: () => settlement?.refused(),
    }
    return queues.accept(message, all, whenDurable, received)
  }

  /** True when `session` may have `message`. */
  mayForward(session: Session, message: Message): boolean {
    if (session.rules.access?.mayReceive(session, message.topic) === false) return false
    return !this.#hasForwardHook || Boolean(this.authorizeForward(session, message))
  }

  /** Whether `session` may publish `message`; undefined when that is for a hook to say (`whenMayPublish`). */
  mayPublish(session: Session, message: Message): boolean | undefined {
    if (session.rules.access?.mayPublish(session, message.topic) === false) return false
    if (this.authorizePublish !== protectOwnTopics) return undefined
    return !(message.name.isDollar && isProtected(session, message.topic))
  }

  /**
   * Asks the access rules and the publish hook. `then` is told whether it allows the message; returns true when that was
   * before the return, false when the hook answers later (the session then reads on by itself).
   */
  whenMayPublish(session: Session, message: Message, then: (allowed: boolean) => void): boolean {
    const known = this.mayPublish(session, message)
    if (known !== undefined) {
      then(known)
      return true
    }
    let isSync = true
    let isAnswered = false
    this.authorizePublish(session, message, error => {
      if (isAnswered) return
      isAnswered = true
      if (!isSync && session.closed) return
      then(!error)
      if (!isSync) session.resume()
    })
    isSync = false
    return isAnswered
  }

  #deliver(message: Message, session: Session | null, live: Picked['live']): void {
    this.mq.emit(message)
    for (const { session: member, grants } of live) member.deliver(message, grants, true)
    this.published(message, session, ignore)
    // Mostly nobody listens, and then to ask is cheaper than to say.
    if (this.listenerCount('publish') > 0) this.emit('publish', message, session)
  }
}

/** `$SYS/` is the gateway's own, unless a list lets somebody write there. Aedes' rule is the same, but knows no lists. */
function protectOwnTopics(...[session, message, callback]: Parameters<Hooks['authorizePublish']>): void {
  const isRefused = session !== null && isProtected(session, message.topic)
  callback(isRefused ? new Error('topics below $SYS/ are the gateway’s own') : null)
}

function isProtected(session: Session, topic: string): boolean {
  return isOwnTopic(topic, session.rules) && !isStateOfLink(session, topic)
}

/** The bridge of another broker says here how it is doing, as Mosquitto's do; but not in the place of one of ours. */
function isStateOfLink({ isLink, hub }: Session, topic: string): boolean {
  if (!isLink || !LINK_STATE.test(topic)) return false
  for (const { clientId } of hub.persistence.queues.retained(topic)) return clientId !== undefined
  return true
}

/** Who may publish below `$SYS/` must stand in a list of rights. */
function isOwnTopic(topic: string, { access }: ConnectionRules): boolean {
  return topic.startsWith('$SYS/') && access?.hasList !== true
}

function settlementOf(callback: (error?: Error | null) => void): Settlement {
  return {
    settled: () => callback(),
    refused: () => callback(new LarderError('STORE_FULL', 'the store has no room for the message.')),
  }
}

function ignore(): void {}
