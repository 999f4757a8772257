/**
 * Who has which port. A port has many names (its own, links of udev, what its adapter says of itself), so two devices
 * of one configuration may come to mean the same one; the second would take half of what the first is sent. What
 * counts is the number of the device behind the name.
 */
import { stat } from 'node:fs/promises'

/** One for all serial devices of a gateway. */
export class PortClaims {
  readonly #owners = new Map<string, string>()

  /** Takes the port with this identity for `owner`. Returns who has it already, or undefined when it is now `owner`'s. */
  claim(identity: string, owner: string): string | undefined {
    const other = this.#owners.get(identity)
    if (other !== undefined) return other
    this.#owners.set(identity, owner)
    return undefined
  }

  /** Gives a port back that `claim` gave. */
  release(identity: string): void {
    this.#owners.delete(identity)
  }
}

/** What a path leads to, links followed: the same for all names of one port, another one after a replug. Undefined when it leads nowhere. */
export async function identityOf(path: string): Promise<{ port: string; node: string } | undefined> {
  try {
    const { dev, ino, rdev } = await stat(path)
    const node = `${dev}:${ino}:${rdev}`
    return { port: rdev === 0 ? node : `${rdev}`, node }
  } catch {
    return undefined
  }
}
