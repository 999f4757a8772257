/** What went wrong on the way to the upstream, in words that tell the owner what to do. */
import { reasonOf, systemCodeOf } from '../kernel/errors.ts'

export interface Fault {
  readonly reason: string
  readonly hint?: string
}

/** The return codes of CONNACK (MQTT 3.1.1 table 3.1). */
const REFUSALS: Readonly<Record<number, Fault>> = {
  1: { reason: 'the upstream does not speak MQTT 3.1.1' },
  2: { reason: 'the upstream refuses the client identifier', hint: 'Choose another "client_id".' },
  3: { reason: 'the upstream says that it is not available now' },
  4: { reason: 'the upstream refuses the user name or password', hint: 'Check "username" and "password".' },
  5: {
    reason: 'the upstream does not let this client in',
    hint: 'Check "username", "password" and what this client may do there.',
  },
}

/** The fault behind what MQTT.js or a socket threw; undefined means that the upstream closed the connection. `place` is `host:port`. */
export function faultOf(error: unknown, place: string): Fault {
  if (error === undefined) return { reason: `${place} closed the connection` }
  const refusal = (error as { code?: unknown } | null)?.code
  if (typeof refusal === 'number') return REFUSALS[refusal] ?? { reason: reasonOf(error) }
  switch (systemCodeOf(error)) {
    case 'ECONNREFUSED':
      return { reason: `nothing listens at ${place}` }
    case 'ENOTFOUND':
      return { reason: `the name in ${place} is not known`, hint: 'Check "url".' }
    case 'EAI_AGAIN':
      return { reason: `the name in ${place} cannot be looked up now: is the network up?` }
    case 'ENETUNREACH':
    case 'EHOSTUNREACH':
      return { reason: `there is no way to ${place}: is the network up?` }
    case 'ETIMEDOUT':
      return { reason: `${place} does not answer` }
    case 'ECONNRESET':
    case 'EPIPE':
      return { reason: `${place} cut the connection` }
  }
  const message = reasonOf(error)
  if (message === 'connack timeout') return { reason: `${place} does not answer` }
  if (message === 'Keepalive timeout') return { reason: `${place} does not answer any more` }
  return { reason: message }
}
