/**
 * The running gateway as the web page sees it (`dashboard/ports.ts`): what its parts know, and what may be done with them.
 * Part of the composition root, with `main.ts`. Nothing here runs unless somebody looks, but for
 * who comes and goes.
 */
import type { Fleet } from './bridge/fleet.ts'
import { type DrainState, SPOOL_CLIENT_PREFIX } from './bridge/ports.ts'
import type { Hub } from './broker/hub.ts'
import type { Listener, SessionQueue, Subscription } from './broker/ports.ts'
import type { Session } from './broker/session.ts'
import type { Config, DeviceConfig } from './config/schema.ts'
import type { BridgeView } from './dashboard/api.ts'
import type { ClientFigures, StoreView, Subject, ThingFigures, TopicMessage } from './dashboard/ports.ts'
import { shownPayload } from './dashboard/topics.ts'
import { commandOf, periodOf, placeOf } from './device-traits.ts'
import type { DeviceManager } from './devices/manager.ts'
import type { Thing } from './devices/ports.ts'
import type { Doors } from './doors.ts'
import type { Clock, ClockSync } from './kernel/clock.ts'
import { Moment } from './kernel/moment.ts'
import { ReasonCode } from './mqtt/reason-codes.ts'
import type { Figures } from './observe/ports.ts'
import { LevelPersistence } from './store/persistence.ts'

/** Subscriptions that are told of one client. */
const MAX_SUBSCRIPTIONS = 100
/** Characters of a filter and of a user name that are told: they may have 65,535, which no page wants each second. */
const MAX_SHOWN = 200
/** Sessions without a connection whose subscriptions and time of leaving are remembered here; the oldest go first. */
const MAX_AWAY = 1_000

export interface SubjectDependencies {
  config: () => Config
  version: string
  hub: Hub
  storeState: () => string
  devices: DeviceManager<DeviceConfig>
  doors: Doors
  bridges: Fleet
  figures: () => Figures
  clock: Clock
  sync: ClockSync
  isFirstRun: boolean
}

export class GatewaySubject implements Subject {
  readonly isFirstRun: boolean
  readonly version: string
  readonly #deps: SubjectDependencies
  /** What is known of sessions that are away. */
  readonly #away = new Map<string, { since?: Moment; subscriptions?: Subscription[] }>()

  constructor(deps: SubjectDependencies) {
    const { hub, clock } = deps
    this.#deps = deps
    this.isFirstRun = deps.isFirstRun
    this.version = deps.version
    hub.on('clientReady', (session: Session) => this.#away.delete(session.id))
    hub.on('connectionEnd', (session: Session) => {
      if (session.connected && session.queue !== null) this.#note(session.id, { since: new Moment(clock) })
    })
  }

  get name(): string {
    return this.#deps.config().name
  }

  get startedAt(): number {
    return this.#deps.figures().startedAt
  }

  get dataDir(): string {
    return this.#deps.config().dataDir
  }

  isClockSynced(): boolean {
    return this.#deps.sync.isSynced()
  }

  figures(): Figures {
    return this.#deps.figures()
  }

  store(): StoreView {
    const kind = this.#deps.hub.persistence instanceof LevelPersistence ? 'leveldb' : 'redis'
    return { kind, state: this.#deps.storeState() }
  }

  listeners(): { address: string; open: boolean }[] {
    const { doors } = this.#deps
    const closed = doors.closed()
    const open = doors.addresses().filter(address => !closed.includes(address))
    return [...open.map(address => ({ address, open: true })), ...closed.map(address => ({ address, open: false }))]
  }

  clients(): ClientFigures[] {
    const { hub } = this.#deps
    const clients: ClientFigures[] = []
    for (const session of Object.values(hub.clients)) if (session !== undefined) clients.push(this.#connected(session))
    for (const id of hub.persistence.queues.clientIds()) {
      if (hub.clients[id] === undefined && !id.startsWith(SPOOL_CLIENT_PREFIX)) clients.push(this.#left(id))
    }
    return clients
  }

  things(): ThingFigures[] {
    return this.#deps.devices.inventory().flatMap(({ device, states, lastFrame }) =>
      states.map((state, index): ThingFigures => {
        const isOwn = index === 0
        const thing: Thing | undefined = isOwn ? device : device.parts?.[index - 1]
        return {
          thing: thing ?? device,
          state,
          place: placeOf(device),
          command: isOwn ? commandOf(device) : undefined,
          lastFrame: isOwn ? lastFrame : undefined,
          period: periodOf(device, thing ?? device),
          latest: state.latest,
        }
      }),
    )
  }

  bridges(): BridgeView[] {
    const { config, bridges, clock } = this.#deps
    return bridges.states().map(state => {
      const { name, connected, paused, since, waiting, bytes, oldest, lastError, drain } = state
      const { rateOut, rateIn, sent, received, dead } = state
      const isLost = lastError !== undefined
      return {
        name,
        address: config().bridges.find(bridge => bridge.name === name)?.url ?? '',
        state: paused ? 'paused' : connected ? 'connected' : isLost ? 'waiting' : 'connecting',
        ...(since === undefined ? {} : { since }),
        waiting,
        waitingBytes: bytes,
        // To the second, so that it does not change with every look.
        ...(oldest === undefined || waiting === 0 ? {} : { oldest: Math.round((clock.wall() - oldest) / 1000) * 1000 }),
        rateOut,
        rateIn,
        sent,
        received,
        dead,
        ...(lastError === undefined || connected ? {} : { lastError }),
        ...(drain === undefined ? {} : { drain: drainOf(drain) }),
      }
    })
  }

  listen(listener: (message: TopicMessage) => void): () => void {
    const { hub } = this.#deps
    const onMessage: Listener = (message, done) => {
      listener(message)
      done()
    }
    const filters = ['#', '$SYS/#']
    for (const filter of filters) {
      hub.subscribe(filter, onMessage)
      for (const message of hub.persistence.queues.retained(filter)) listener(retained(message))
    }
    return () => {
      for (const filter of filters) hub.unsubscribe(filter, onMessage)
    }
  }

  publish({ topic, payload, qos, retain }: TopicMessage): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#deps.hub.publish({ topic, payload, qos, retain }, null, error => (error ? reject(error) : resolve()))
    })
  }

  async clear(topic: string): Promise<{ size: number; restore(): Promise<boolean> } | undefined> {
    const { hub } = this.#deps
    const find = () => [...hub.persistence.queues.retained(topic)].find(message => message.topic === topic)
    const before = find()?.detached()
    if (before === undefined) return undefined
    // QoS 1: on the disk when this resolves.
    await this.publish({ topic, payload: Buffer.alloc(0), qos: 1, retain: true })
    return {
      size: before.payload.length,
      restore: async () => {
        if (find() !== undefined) return false
        const { payload, qos, forwarded, expiresAt } = before
        const left = expiresAt === undefined ? undefined : Math.ceil((expiresAt - hub.persistence.time.now()) / 1000)
        if (left !== undefined && left <= 0) return false
        await new Promise<void>((resolve, reject) => {
          const message = { topic, payload, qos, retain: true, forwarded, messageExpiryInterval: left }
          hub.publish(message, null, error => (error ? reject(error) : resolve()))
        })
        return true
      },
    }
  }

  disconnect(clientId: string): boolean {
    const session = this.#deps.hub.clients[clientId]
    session?.end(ReasonCode.ADMINISTRATIVE_ACTION, 'disconnected from the web page')
    return session !== undefined
  }

  async drop(clientId: string): Promise<boolean> {
    const { hub } = this.#deps
    const isThere = this.disconnect(clientId)
    const { queues } = hub.persistence
    // Spools belong to bridges.
    if (clientId.startsWith(SPOOL_CLIENT_PREFIX) || queues.find(clientId) === undefined) return isThere
    // A will that waits is due when the session ends (MQTT 5 §3.1.3.2.2).
    hub.departed.returned(clientId, false)
    this.#away.delete(clientId)
    await hub.discard(clientId)
    return true
  }

  pause(bridge: string): Promise<void> {
    return this.#deps.bridges.pause(bridge)
  }

  resume(bridge: string): Promise<void> {
    return this.#deps.bridges.resume(bridge)
  }

  retry(bridge: string): Promise<number> {
    return this.#deps.bridges.retryDeadLetters(bridge)
  }

  async *dead(bridge: string) {
    for await (const { topic, payload, reason } of this.#deps.bridges.deadLetters(bridge)) {
      yield { topic, ...shownPayload(payload), size: payload.length, reason }
    }
  }

  poll(device: string): Promise<void> {
    return this.#deps.devices.poll(device)
  }

  #connected(session: Session): ClientFigures {
    const { id, details, userName: user, version, keepalive, clean, queue, memoryQueue, publishes } = session
    return {
      id,
      connected: true,
      since: session.since?.wall,
      user: user && shortened(user),
      address: details.remoteAddress,
      listener: details.listener,
      version: version ?? undefined,
      keepalive,
      clean,
      subscriptions: shownSubscriptions(session.subscribing.all),
      waiting: (queue ?? memoryQueue)?.count ?? 0,
      waitingBytes: bytesOf(queue ?? memoryQueue ?? undefined),
      age: queue === null ? undefined : this.#age(id),
      ...publishes,
    }
  }

  #left(id: string): ClientFigures {
    const { persistence } = this.#deps.hub
    const queue = persistence.queues.find(id)
    const known = this.#away.get(id)
    if (known?.subscriptions === undefined) {
      // They are there at the next look, a second later.
      void persistence.subscriptionsByClient({ id }).then(
        subscriptions => this.#note(id, { subscriptions }),
        () => {},
      )
    }
    return {
      id,
      connected: false,
      since: known?.since?.wall,
      user: undefined,
      address: undefined,
      listener: undefined,
      version: undefined,
      keepalive: undefined,
      clean: false,
      subscriptions: shownSubscriptions(known?.subscriptions ?? []),
      waiting: queue?.count ?? 0,
      waitingBytes: bytesOf(queue),
      age: this.#age(id),
      received: 0,
      sent: 0,
    }
  }

  #age(clientId: string): number | undefined {
    const { persistence } = this.#deps.hub
    return persistence instanceof LevelPersistence ? persistence.oldestOf(clientId) : undefined
  }

  #note(id: string, more: { since?: Moment; subscriptions?: Subscription[] }): void {
    if (this.#deps.hub.clients[id]?.connected === true && more.since === undefined) return
    this.#away.set(id, { ...this.#away.get(id), ...more })
    const oldest = this.#away.keys().next().value
    if (this.#away.size > MAX_AWAY && oldest !== undefined) this.#away.delete(oldest)
  }
}

/** What is retained was published so, whatever the flag of the record says. */
function retained({ topic, payload, qos }: TopicMessage): TopicMessage {
  return { topic, payload, qos, retain: true }
}

function shownSubscriptions(subscriptions: readonly Subscription[]): { filter: string; qos: 0 | 1 | 2 }[] {
  return subscriptions.slice(0, MAX_SUBSCRIPTIONS).map(({ topic, qos }) => ({ filter: shortened(topic), qos }))
}

function shortened(text: string): string {
  return text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN - 1)}…`
}

function drainOf({ done, of, endsAt }: DrainState): NonNullable<BridgeView['drain']> {
  return { done, of, ...(endsAt === undefined ? {} : { endsAt }) }
}

/** Queues on Redis do not count them. */
function bytesOf(queue: Pick<SessionQueue, 'count'> | undefined): number {
  return (queue as { bytes?: number } | undefined)?.bytes ?? 0
}
