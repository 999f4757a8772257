/**
 * A limit on connections from one address, of all listeners together: one machine must not take the places of all
 * others. An IPv6 host counts by the first 64 bits of its address, the rest it chooses itself. What is on this machine
 * (loopback, Unix sockets) does not count: bridges, home automation and proxies without PROXY protocol come from there,
 * each for many, and who can run programs here has other ways to do harm.
 */
import type { Socket } from 'node:net'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { neighbourhoodOf } from '../kernel/neighbourhood.ts'
import { Throttle } from './throttle.ts'

/** Milliseconds between two log lines about refused connections. */
const LOG_INTERVAL = 60_000

/** 127.0.0.0/8 and ::1, the latter as it and its 63 bits of neighbours are known. */
const LOOPBACK = /^(127\.|0:0:0:0$)/

export class AddressLimit {
  readonly #max: () => number
  readonly #log: Log
  readonly #throttle: Throttle
  /** Open connections by whom they belong to. Nobody without one is in it, so it is bounded as connections are. */
  readonly #open = new Map<string, number>()
  #refused = 0

  constructor(deps: { max: () => number; clock: Clock; log: Log }) {
    this.#max = deps.max
    this.#log = deps.log
    this.#throttle = new Throttle({ clock: deps.clock, interval: LOG_INTERVAL })
  }

  /** Connections refused, since the start. */
  get refused(): number {
    return this.#refused
  }

  /**
   * Counts a connection in that is closed when `socket` is. `address` is its peer's, undefined on a Unix socket. False
   * when there are as many as may be: close it.
   */
  enter(socket: Socket, address: string | undefined): boolean {
    if (address === undefined) return true
    const host = neighbourhoodOf(address)
    if (LOOPBACK.test(host)) return true
    const open = this.#open.get(host) ?? 0
    const max = this.#max()
    if (open >= max) {
      this.#refused++
      this.#throttle.note(refused =>
        this.#log.warn(
          { address, refused, max },
          'connections refused: as many are open from one address as limits.max_connections_per_address allows',
        ),
      )
      return false
    }
    this.#open.set(host, open + 1)
    socket.on('close', () => this.#leave(host))
    return true
  }

  #leave(host: string): void {
    const left = (this.#open.get(host) ?? 0) - 1
    if (left > 0) this.#open.set(host, left)
    else this.#open.delete(host)
  }
}
