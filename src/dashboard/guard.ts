/**
 * Whom the page answers. A browser is made to speak for others: by a page of somebody else that sends requests here
 * (cross-site request forgery), or by a name that is first theirs and then points here (DNS rebinding). So a request
 * must call the gateway by a name that only it can have, and what changes something must come from the page itself.
 */
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'

/** Endings that nobody can register (RFC 6761, RFC 6762, RFC 8375, and `internal`, which ICANN has reserved), and routers' `lan`. */
const PRIVATE_NAME = /(^|\.)(localhost|local|lan|home\.arpa|internal|localdomain)$/

/** Whether `Host` is an address, a name that is never public, the machine's own or one of `names`. Absent, it is no browser's. */
export function isKnownHost(header: string | undefined, names: readonly string[]): boolean {
  if (header === undefined) return true
  const host = hostOf(header)
  if (host === undefined) return false
  return isIP(host) !== 0 || PRIVATE_NAME.test(host) || names.some(name => name.toLowerCase() === host)
}

/** Whether a request comes from the page itself, or from no browser at all. */
export function isFromPage({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false
  if (headers.origin === undefined) return true
  try {
    // A proxy before us may speak TLS where we do not: the names must be the same.
    return new URL(headers.origin).host === new URL(`${new URL(headers.origin).protocol}//${headers.host}`).host
  } catch {
    return false
  }
}

/** The name or address, without port and brackets, in small letters. */
function hostOf(header: string): string | undefined {
  const [, bracketed, name] = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d+)?$/i.exec(header) ?? []
  return (bracketed ?? name?.replace(/\.$/, ''))?.toLowerCase()
}
