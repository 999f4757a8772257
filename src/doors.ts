/**
 * The listeners with their access rules: where clients come in, who may, and what they may do there. Part of the
 * composition root, with `main.ts`. A reload changes both without a word to clients whom it does not concern: the socket
 * of a listener that has changed is opened anew beside the connections that it has.
 */
import type { Server } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import { throttleFor } from './access/access.ts'
import { Checks } from './access/checks.ts'
import { AccessControl, type Prepared } from './access/control.ts'
import type { LoginThrottle } from './access/login-throttle.ts'
import type { Hub } from './broker/hub.ts'
import type { ConnectionRules } from './broker/rules.ts'
import type { AccessConfig, ListenerConfig } from './config/schema.ts'
import type { Clock } from './kernel/clock.ts'
import { reasonOf } from './kernel/errors.ts'
import type { Log } from './kernel/log.ts'
import { expiryWarning } from './listen/expiry.ts'
import type { Gate } from './listen/gate.ts'
import { openListener } from './listen/open.ts'
import type { Listener } from './listen/ports.ts'
import { ReasonCode } from './mqtt/reason-codes.ts'

const DAY_MS = 86_400_000

const NOBODY: ReadonlySet<string> = new Set()

/** A listener that is open. */
interface Door {
  settings: ListenerConfig
  listener: Listener
  /** One object for as long as the door is there: its sessions look at it, and a reload changes what it says. */
  readonly rules: { -readonly [K in keyof ConnectionRules]: ConnectionRules[K] }
}

/** What a reload makes of one listener: a new one in its place, or the files of its certificates taken up again. */
interface PreparedDoor {
  readonly settings: ListenerConfig
  readonly listener?: Listener
  readonly rules?: Door['rules']
  readonly takeUp?: (() => void) | undefined
}

/** A reload that has been found to be possible. */
export interface PreparedDoors {
  commit(signal: AbortSignal): Promise<void>
}

export class Doors {
  readonly #hub: Hub
  readonly #clock: Clock
  readonly #log: Log
  readonly #gate: Gate
  readonly #throttle: LoginThrottle
  readonly #checks = new Checks()
  /** By what they are made of: listeners that say the same share one. */
  #accesses = new Map<string, AccessControl>()
  #doors = new Map<string, Door>()
  /** Those that a reload could not open. */
  readonly #unopened = new Set<string>()
  /** Listeners that were replaced: nobody new comes in by them, who is there stays. */
  #retired: Listener[] = []
  /** The warning that was given last, by the serial number of the certificate. */
  readonly #told = new Map<string, number>()

  constructor(deps: { hub: Hub; clock: Clock; log: Log; gate: Gate }) {
    this.#hub = deps.hub
    this.#clock = deps.clock
    this.#log = deps.log
    this.#gate = deps.gate
    this.#throttle = throttleFor({ clock: deps.clock, log: deps.log })
    deps.hub.rulesAt = address => this.rulesAt(address)
  }

  /** The rules of the listener at an address. Where it is no more, those that are everybody's, if there are no others. */
  rulesAt(address: string): ConnectionRules | undefined {
    const doors = [...this.#doors.values()]
    const isShared = new Set(doors.map(({ rules }) => rules.access)).size === 1
    return (doors.find(({ listener }) => listener.address() === address) ?? (isShared ? doors[0] : undefined))?.rules
  }

  /** Where they are, as URLs with the real ports. */
  addresses(): string[] {
    return Array.from(this.#doors.values(), ({ listener }) => listener.address())
  }

  /** The listeners that should be open and are not, by their addresses. */
  closed(): string[] {
    const shut = [...this.#doors].filter(([, { listener }]) => !listener.isOpen).map(([key]) => key)
    return [...new Set([...shut, ...this.#unopened])]
  }

  /** When the first certificate of each ends, in wall time. */
  certificates(): { of: 'listener'; name: string; expiresAt: number }[] {
    return Array.from(this.#doors.values(), ({ listener }) => listener).flatMap(listener => {
      const ends = (listener.tls?.certificates ?? []).map(({ expiresAt }) => expiresAt)
      return ends.length === 0 ? [] : [{ of: 'listener', name: listener.address(), expiresAt: Math.min(...ends) }]
    })
  }

  /**
   * Who may come in by a password file, at a door that is no listener of ours; guesses there count like those here.
   * Rejects with a LarderError when the file cannot be used.
   */
  async doorkeeper(passwordFile: string): Promise<AccessControl> {
    const rest = { aclFile: undefined, allowAnonymous: false, grantEverySubscription: false }
    const access = this.#newAccess({ passwordFile, ...rest })
    await access.start()
    return access
  }

  /** Reads the files of the access rules. Rejects with a LarderError when one cannot be used. */
  async readRules(listeners: readonly ListenerConfig[]): Promise<void> {
    for (const { access } of listeners) this.#accesses.set(keyOfAccess(access), this.#newAccess(access))
    await Promise.all(Array.from(this.#accesses.values(), access => access.start()))
  }

  /** Rejects with a LarderError when one of them cannot be opened. */
  async open(listeners: readonly ListenerConfig[], signal: AbortSignal): Promise<void> {
    for (const [key, settings] of keyed(listeners)) await this.#openDoor(key, settings, signal)
  }

  /** Accepts no more; who is there stays. */
  stopAccepting(): void {
    for (const { listener } of this.#doors.values()) listener.stopAccepting()
  }

  async stop(): Promise<void> {
    this.#throttle.stop()
    const open = Array.from(this.#doors.values(), ({ listener }) => listener)
    await Promise.all([...open, ...this.#retired].map(listener => listener.stop()))
  }

  /** Says of each certificate that it ends soon, when that has become more pressing than it was. To be called daily. */
  tellExpiry(): void {
    const now = this.#clock.wall()
    for (const { listener } of this.#doors.values()) {
      for (const { file, serialNumber, expiresAt } of listener.tls?.certificates ?? []) {
        const days = Math.floor((expiresAt - now) / DAY_MS)
        this.#hub.publish({
          topic: `$SYS/broker/certificates/${serialNumber}/days_left`,
          payload: `${days}`,
          retain: true,
        })
        const step = expiryWarning(expiresAt, now)
        if (step === undefined || this.#told.get(serialNumber) === step) continue
        this.#told.set(serialNumber, step)
        const what =
          step === 0 ? 'a certificate has ended: clients are refused' : `a certificate ends within ${step} days`
        this.#log.warn({ file, daysLeft: days }, what)
      }
    }
  }

  /** Reads everything that new settings name, and changes nothing. Rejects with a LarderError when it cannot be used. */
  async prepare(listeners: readonly ListenerConfig[]): Promise<PreparedDoors> {
    const accesses = new Map<string, AccessControl>()
    for (const { access } of listeners) {
      const key = keyOfAccess(access)
      if (!accesses.has(key)) accesses.set(key, this.#accesses.get(key) ?? this.#newAccess(access))
    }
    const rights = await Promise.all(
      Array.from(
        accesses.values(),
        async (access): Promise<[AccessControl, Prepared]> => [access, await access.prepare()],
      ),
    )
    const doors = new Map<string, PreparedDoor>()
    try {
      for (const [key, settings] of keyed(listeners)) doors.set(key, await this.#prepareDoor(key, settings))
    } catch (error) {
      for (const { listener } of doors.values()) await listener?.stop()
      throw error
    }
    return { commit: signal => this.#commit(doors, accesses, rights, signal) }
  }

  /** A listener whose socket's settings are as they were has its certificates looked at: the files may be others. */
  async #prepareDoor(key: string, settings: ListenerConfig): Promise<PreparedDoor> {
    const door = this.#doors.get(key)
    if (door !== undefined && isDeepStrictEqual(socketOf(door.settings), socketOf(settings))) {
      return { settings, takeUp: await door.listener.tls?.prepare() }
    }
    const rules = door?.rules ?? { ...this.#hub.defaultRules }
    // The new one answers at the old one's socket: nobody who knocks meanwhile is turned away.
    const listener = await this.#newListener(settings, rules, () => door?.listener.handOver())
    await listener.prepare()
    return { settings, listener, rules }
  }

  async #commit(
    prepared: ReadonlyMap<string, PreparedDoor>,
    accesses: Map<string, AccessControl>,
    rights: readonly (readonly [AccessControl, Prepared])[],
    signal: AbortSignal,
  ): Promise<void> {
    const known = new Set(this.#accesses.values())
    for (const [access, { commit }] of rights) if (!known.has(access)) commit()
    const opened = await this.#openFresh(prepared, accesses, signal)
    this.#unopened.clear()
    // Nothing can fail from here on but a listener at an address that one of ours has to leave first.
    const changed = new Map(rights.map(([access, { commit }]) => [access, known.has(access) ? commit() : NOBODY]))
    this.#accesses = accesses
    for (const [key, door] of this.#doors) {
      if (prepared.has(key)) continue
      this.#doors.delete(key)
      this.#log.info({ listener: door.listener.address() }, 'a listener is closed')
      await door.listener.stop()
    }
    for (const [key, { settings, listener, rules, takeUp }] of prepared) {
      const door = this.#doors.get(key)
      takeUp?.()
      Object.assign(rules ?? door?.rules ?? {}, this.#rulesOf(settings))
      if (opened.has(key)) continue
      if (listener !== undefined && rules !== undefined) await this.#install(key, { settings, listener, rules }, signal)
      else if (door !== undefined) door.settings = settings
    }
    for (const door of this.#doors.values()) this.#turnOut(door, changed)
  }

  /**
   * Opens the listeners at addresses where nobody of ours is, first of all: another program may have them. Rejects with
   * a LarderError, and leaves none open, when one cannot be opened. Gives the keys of those that are.
   */
  async #openFresh(
    prepared: ReadonlyMap<string, PreparedDoor>,
    accesses: ReadonlyMap<string, AccessControl>,
    signal: AbortSignal,
  ): Promise<Set<string>> {
    const leaving = [...this.#doors].filter(([key]) => !prepared.has(key)).map(([, { settings }]) => placeOf(settings))
    const opened: [string, Door][] = []
    try {
      for (const [key, { settings, listener, rules }] of prepared) {
        if (listener === undefined || rules === undefined) continue
        if (this.#doors.has(key) || leaving.includes(placeOf(settings))) continue
        Object.assign(rules, this.#rulesOf(settings, accesses))
        await listener.start(signal)
        opened.push([key, { settings, listener, rules }])
      }
    } catch (error) {
      for (const { listener } of prepared.values()) await listener?.stop()
      throw error
    }
    for (const [key, door] of opened) this.#doors.set(key, door)
    return new Set(opened.map(([key]) => key))
  }

  /** Opens a listener, in place of the one that was there. Only its address can be at fault now, and that is said. */
  async #install(key: string, door: Door, signal: AbortSignal): Promise<void> {
    const old = this.#doors.get(key)
    try {
      await door.listener.start(signal)
    } catch (error) {
      this.#log.error({ listener: key, reason: reasonOf(error) }, 'a listener cannot be opened')
      this.#unopened.add(key)
      await door.listener.stop()
      return
    }
    this.#doors.set(key, door)
    this.#retired = this.#retired.filter(({ connections }) => connections > 0)
    if (old !== undefined) this.#retired.push(old.listener)
  }

  /** Who may not be here any more must go (MQTT 5: 0x87). */
  #turnOut(door: Door, changed: ReadonlyMap<AccessControl, ReadonlySet<string>>): void {
    const access = door.rules.access as AccessControl | null
    if (access === null || door.rules.usernameFrom !== 'connect') return
    const users = changed.get(access)
    for (const session of Object.values(this.#hub.clients)) {
      if (session === undefined || session.rules !== door.rules || session.details.identity?.pskIdentity) continue
      const { userName } = session
      if (access.knows(userName) && (userName === undefined || users?.has(userName) !== true)) continue
      session.end(ReasonCode.NOT_AUTHORIZED, 'the access rules have changed')
    }
  }

  async #openDoor(key: string, settings: ListenerConfig, signal: AbortSignal): Promise<void> {
    const rules = this.#rulesOf(settings)
    const listener = await this.#newListener(settings, rules)
    await listener.start(signal)
    this.#doors.set(key, { settings, listener, rules })
  }

  #newListener(
    settings: ListenerConfig,
    rules: ConnectionRules,
    takeOver?: () => Server | undefined,
  ): Promise<Listener> {
    return openListener(settings, {
      takeOver,
      clock: this.#clock,
      log: this.#log,
      gate: this.#gate,
      maxPacketSize: settings.maxPacketSize,
      onConnection: (stream, details) => void this.#hub.accept(stream, details, rules),
    })
  }

  #newAccess(config: Omit<AccessConfig, 'clientIdPrefixes' | 'allowEmptyClientId' | 'autoIdPrefix'>): AccessControl {
    const { passwordFile, aclFile, allowAnonymous, grantEverySubscription } = config
    return new AccessControl({
      settings: { passwordFile, aclFile, allowAnonymous, grantEverySubscription },
      log: this.#log,
      clock: this.#clock,
      throttle: this.#throttle,
      checks: this.#checks,
    })
  }

  #rulesOf(settings: ListenerConfig, accesses: ReadonlyMap<string, AccessControl> = this.#accesses): ConnectionRules {
    const { versions, maxPacketSize, maxQos, mountPoint, usernameFrom, usernameAsClientId } = settings
    const { clientIdPrefixes, allowEmptyClientId, autoIdPrefix } = settings.access
    return {
      access: accesses.get(keyOfAccess(settings.access)) ?? null,
      versions,
      maxPacketSize,
      maxQos,
      maxTopicAlias: settings.maxTopicAlias ?? this.#hub.defaultRules.maxTopicAlias,
      mountPoint,
      usernameFrom,
      usernameAsClientId,
      clientIdPrefixes,
      allowEmptyClientId,
      autoIdPrefix,
    }
  }
}

/** By their addresses; those that take any free port are told apart by their number. */
function keyed(listeners: readonly ListenerConfig[]): Map<string, ListenerConfig> {
  const keys = new Map<string, ListenerConfig>()
  for (const settings of listeners) {
    const { protocol, host, port, path = '' } = settings
    const address = `${protocol}://${host}:${port}${path}`
    let key = address
    for (let i = 2; keys.has(key); i++) key = `${address} (${i})`
    keys.set(key, settings)
  }
  return keys
}

/** What only one socket can have: a port, whatever the address before it, or a path. */
function placeOf({ protocol, port, path }: ListenerConfig): string | number {
  return protocol === 'unix' ? `${path}` : port
}

/** What of a listener's settings is fixed when its socket is opened. */
function socketOf({ tls, maxConnections, proxyProtocol, origins, socketMode, maxPacketSize }: ListenerConfig): object {
  return { tls, maxConnections, proxyProtocol, origins, socketMode, maxPacketSize }
}

function keyOfAccess({ passwordFile, aclFile, allowAnonymous, grantEverySubscription }: AccessConfig): string {
  return JSON.stringify({ passwordFile, aclFile, allowAnonymous, grantEverySubscription })
}
