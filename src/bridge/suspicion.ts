/**
 * MQTT 3.1.1 gives an upstream no way to say that it does not take a message: it closes the connection, and would at
 * that message for ever. A message is found guilty when connections that stood well without it end, time after time,
 * while it is all that was sent. An upstream that closes anyway (another client with our identifier, a restart) proves nothing.
 */

/** Connections in a row without one acknowledgement, all with the same message first, before messages go one by one. */
const SUSPECT_AFTER = 3
/** Connections that then ended at it alone. */
const GUILTY_AFTER = 3
/** ms that a connection must stand before a suspect is sent: longer than an upstream takes to throw us out for another reason. */
export const PROOF_TIME = 1_000

export class Suspicion {
  #suspect: string | undefined
  #ends = 0

  /** Nothing goes before `PROOF_TIME`, and then only one message at a time. */
  get isOn(): boolean {
    return this.#ends >= SUSPECT_AFTER
  }

  /** The upstream has acknowledged something. */
  clear(): void {
    this.#ends = 0
    this.#suspect = undefined
  }

  /**
   * A connection has ended without an acknowledgement. `oldest` names the place of the oldest message in flight, in its
   * spool. Returns true when that is guilty.
   */
  ended(oldest: string | undefined): boolean {
    // Before it was sent: not its fault.
    if (oldest === undefined) return false
    this.#ends = oldest === this.#suspect ? this.#ends + 1 : 1
    this.#suspect = oldest
    return this.#ends >= SUSPECT_AFTER + GUILTY_AFTER
  }
}
