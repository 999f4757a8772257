/**
 * What bounds all listeners together: how many connections there are, how many of them from one address, and how many
 * whose CONNECT has not come. It looks at the limits each time, so that a reload changes them.
 */
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { AddressLimit } from './address-limit.ts'
import { ConnectionLimit } from './limit.ts'
import { Lobby } from './lobby.ts'

/** Settings of `larder.yaml` under `limits`. */
export interface GateLimits {
  readonly maxConnections: number
  /** Those from this machine do not count. */
  readonly maxConnectionsPerAddress: number
  readonly maxHalfOpen: number
}

export class Gate {
  readonly connections: ConnectionLimit
  readonly addresses: AddressLimit
  readonly lobby: Lobby

  constructor(deps: { limits: GateLimits; clock: Clock; log: Log }) {
    const { limits, clock, log } = deps
    this.connections = new ConnectionLimit({ max: () => limits.maxConnections, clock, log })
    this.addresses = new AddressLimit({ max: () => limits.maxConnectionsPerAddress, clock, log })
    this.lobby = new Lobby({ max: () => limits.maxHalfOpen, clock, log })
  }
}
