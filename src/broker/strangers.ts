/** What connections without a session make the gateway hold: unfinished CONNECT packets, bounded all together. */

/**
 * Bytes of unfinished CONNECT packets that all connections together may make the gateway hold: a thousand honest
 * ones fit. Beyond, whoever has sent more than a small one is closed.
 */
const MAX_STRANGER_BYTES = 4 * 1024 * 1024
/** Bytes of a CONNECT that is small: a client identifier, a will and credentials of ordinary length. */
const SMALL_CONNECT = 4 * 1024

export class Strangers {
  #bytes = 0

  /** One that held `before` bytes holds `now`. False when it must go. */
  count(before: number, now: number): boolean {
    this.#bytes += now - before
    return now <= SMALL_CONNECT || this.#bytes <= MAX_STRANGER_BYTES
  }
}
