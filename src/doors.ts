/**
 * The listeners with their access rules: where clients come in, who may, and what they may do there. Part of the
 * composition root, with `main.ts`. A reload changes both without a word to clients whom it does not concern: the socket
 * of a listener that has changed is opened anew beside the connections that it has.
 */
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
import type { ConnectionLimit } from './listen/limit.ts'
import { openListener } from './listen/open.ts'
import type { Listener } from './listen/ports.ts'
import { ReasonCode } from './mqtt/reason-codes.ts'

const DAY_MS = 86_400_000

/** A listener that is open. */
interface Door {
  settings: ListenerConfig
  listener: Listener
  /** One object for as long as the door is there: its sessions look at it, and a reload changes what it says. */
  readonly rules: { -readonly [K in keyof ConnectionRules]: ConnectionRules[K] }
}

/** A reload that has been found to be possible. */
export interface PreparedDoors {
  commit(signal: AbortSignal): Promise<void>
}

export class Doors {
  readonly #hub: Hub
  readonly #clock: Clock
  readonly #log: Log
  readonly #limit: ConnectionLimit
  readonly #throttle: LoginThrottle
  readonly #checks = new Checks()
  /** By what they are made of: listeners that say the same share one. */
  #accesses = new Map<string, AccessControl>()
  #doors = new Map<string, Door>()
  /** Listeners that were replaced: nobody new comes in by them, who is there stays. */
  readonly #retired: Listener[] = []
  /** The warning that was given last, by the serial number of the certificate. */
  readonly #told = new Map<string, number>()

  constructor(deps: { hub: Hub; clock: Clock; log: Log; limit: ConnectionLimit }) {
    this.#hub = deps.hub
    this.#clock = deps.clock
    this.#log = deps.log
    this.#limit = deps.limit
    this.#throttle = throttleFor({ clock: deps.clock, log: deps.log })
  }

  /** Where they are, as URLs with the real ports. */
  addresses(): string[] {
    return Array.from(this.#doors.values(), ({ listener }) => listener.address())
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
    const prepared = await Promise.all(
      Array.from(
        accesses.values(),
        async (access): Promise<[AccessControl, Prepared]> => [access, await access.prepare()],
      ),
    )
    return { commit: signal => this.#commit(listeners, accesses, prepared, signal) }
  }

  async #commit(
    listeners: readonly ListenerConfig[],
    accesses: Map<string, AccessControl>,
    prepared: readonly (readonly [AccessControl, Prepared])[],
    signal: AbortSignal,
  ): Promise<void> {
    const changed = new Map(prepared.map(([access, { commit }]) => [access, commit()]))
    this.#accesses = accesses
    const wanted = keyed(listeners)
    for (const [key, door] of this.#doors) {
      if (wanted.has(key)) continue
      this.#doors.delete(key)
      this.#log.info({ listener: door.listener.address() }, 'a listener is closed')
      await door.listener.stop()
    }
    for (const [key, settings] of wanted) {
      const door = this.#doors.get(key)
      try {
        if (door === undefined) await this.#openDoor(key, settings, signal)
        else await this.#renew(door, settings, signal)
      } catch (error) {
        this.#log.error({ listener: key, reason: reasonOf(error) }, 'a listener cannot be opened')
      }
    }
    for (const door of this.#doors.values()) this.#turnOut(door, changed)
  }

  /** Certificates are looked at even when nothing has changed in the settings. */
  async #renew(door: Door, settings: ListenerConfig, signal: AbortSignal): Promise<void> {
    const before = door.settings
    door.settings = settings
    Object.assign(door.rules, this.#rulesOf(settings))
    if (isDeepStrictEqual(socketOf(before), socketOf(settings))) {
      await door.listener.tls
        ?.reload()
        .catch(error => this.#log.error({ reason: reasonOf(error) }, 'a certificate stays as it was'))
      return
    }
    const old = door.listener
    old.stopAccepting()
    this.#retired.push(old)
    try {
      door.listener = await this.#newListener(settings, door.rules)
      await door.listener.start(signal)
    } catch (error) {
      this.#log.error({ listener: old.address(), reason: reasonOf(error) }, 'a listener stays as it was')
      door.settings = before
      Object.assign(door.rules, this.#rulesOf(before))
      door.listener = await this.#newListener(before, door.rules)
      await door.listener.start(signal)
    }
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

  #newListener(settings: ListenerConfig, rules: ConnectionRules): Promise<Listener> {
    return openListener(settings, {
      clock: this.#clock,
      log: this.#log,
      limit: this.#limit,
      maxPacketSize: settings.maxPacketSize,
      onConnection: (stream, details) => void this.#hub.accept(stream, { ...details, rules }),
    })
  }

  #newAccess({ passwordFile, aclFile, allowAnonymous }: AccessConfig): AccessControl {
    return new AccessControl({
      settings: { passwordFile, aclFile, allowAnonymous },
      log: this.#log,
      clock: this.#clock,
      throttle: this.#throttle,
      checks: this.#checks,
    })
  }

  #rulesOf(settings: ListenerConfig): ConnectionRules {
    const { versions, maxPacketSize, maxQos, mountPoint, usernameFrom, usernameAsClientId } = settings
    const { clientIdPrefixes, allowEmptyClientId, autoIdPrefix } = settings.access
    return {
      access: this.#accesses.get(keyOfAccess(settings.access)) ?? null,
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

/** What of a listener's settings is fixed when its socket is opened. */
function socketOf({ tls, maxConnections, proxyProtocol, origins, socketMode, maxPacketSize }: ListenerConfig): object {
  return { tls, maxConnections, proxyProtocol, origins, socketMode, maxPacketSize }
}

function keyOfAccess({ passwordFile, aclFile, allowAnonymous }: AccessConfig): string {
  return JSON.stringify({ passwordFile, aclFile, allowAnonymous })
}
