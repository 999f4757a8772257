/** What went wrong on the way to the upstream, in words that tell the owner what to do. */
import { LarderError, reasonOf, systemCodeOf } from '../kernel/errors.ts'

export interface Fault {
  readonly reason: string
  readonly hint?: string
}

/** What went wrong at each address that was tried. `error` is undefined when the upstream just closed the connection. */
export class UpstreamFault extends Error {
  readonly failures: readonly Failure[]

  constructor(failures: readonly Failure[]) {
    super('no connection to the upstream')
    this.failures = failures
  }
}

export interface Failure {
  /** `host:port`. */
  readonly place: string
  readonly error: unknown
}

const OTHER_CLIENT_ID: Fault = {
  reason: 'the upstream refuses the client identifier',
  hint: 'Choose another "client_id".',
}
const WRONG_LOGIN: Fault = {
  reason: 'the upstream refuses the user name or password',
  hint: 'Check "username" and "password".',
}
const NOT_LET_IN: Fault = {
  reason: 'the upstream does not let this client in',
  hint: 'Check "username", "password" and what this client may do there.',
}
const NOT_NOW: Fault = { reason: 'the upstream says that it is not available now' }
const OTHER_SERVER: Fault = { reason: 'the upstream says that another server is to be used', hint: 'Change "url".' }

/** Return codes of CONNACK (MQTT 3.1.1 table 3.1), reason codes of CONNACK and DISCONNECT (MQTT 5 §3.2.2.2, §3.14.2.1). */
const REFUSALS: Readonly<Record<number, Fault>> = {
  1: { reason: 'the upstream does not speak MQTT 3.1.1' },
  2: OTHER_CLIENT_ID,
  3: NOT_NOW,
  4: WRONG_LOGIN,
  5: NOT_LET_IN,
  132: { reason: 'the upstream does not speak MQTT 5', hint: 'Leave out "version".' },
  133: OTHER_CLIENT_ID,
  134: WRONG_LOGIN,
  135: NOT_LET_IN,
  136: NOT_NOW,
  137: { reason: 'the upstream is busy' },
  138: { reason: 'the upstream has banned this client' },
  139: { reason: 'the upstream is shutting down' },
  140: { reason: 'the upstream wants another way to authenticate' },
  141: { reason: 'the upstream has not heard of this bridge for its keepalive' },
  142: {
    reason: 'another client with the same client identifier has taken the connection over',
    hint: 'Choose another "client_id".',
  },
  143: { reason: 'the upstream does not take a topic filter' },
  144: { reason: 'the upstream does not take a topic name' },
  147: { reason: 'the upstream says that more was in flight than it allows' },
  149: { reason: 'the upstream says that a packet was too large' },
  151: { reason: 'the upstream says that a quota is used up' },
  152: { reason: 'the administrator of the upstream has ended the connection' },
  154: { reason: 'the upstream takes nothing with the retain flag', hint: 'Write "outgoing_retain: false".' },
  155: { reason: 'the upstream does not take this QoS', hint: 'Write "max_qos: 1", or 0.' },
  156: OTHER_SERVER,
  157: OTHER_SERVER,
  159: { reason: 'the upstream says that there are too many connections a second' },
}

const CHECK_CA = 'Is "tls: ca" the authority that has signed it?'

/** What TLS says, as what follows the name of the place. */
const TLS_FAULTS: Readonly<Record<string, Fault>> = {
  CERT_NOT_YET_VALID: {
    reason: 'shows a certificate that is not valid yet by the clock of this machine',
    hint: 'It is tried again until the clock is right: is a time server reached?',
  },
  CERT_HAS_EXPIRED: {
    reason: 'shows a certificate that has expired by the clock of this machine',
    hint: 'Is the clock right? Else whoever runs the upstream must renew it.',
  },
  CERT_REVOKED: { reason: 'shows a certificate that was revoked' },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    reason: 'shows a certificate for another name',
    hint: 'Check "url", or give the name in the certificate as "tls: server_name".',
  },
  SELF_SIGNED_CERT_IN_CHAIN: { reason: 'shows a certificate of an authority that is not known here', hint: CHECK_CA },
  DEPTH_ZERO_SELF_SIGNED_CERT: { reason: 'shows a certificate that it has signed itself', hint: CHECK_CA },
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: {
    reason: 'shows a certificate of an authority that is not known here',
    hint: CHECK_CA,
  },
  UNABLE_TO_GET_ISSUER_CERT: { reason: 'shows a certificate of an authority that is not known here', hint: CHECK_CA },
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: {
    reason: 'shows a certificate of an authority that is not known here',
    hint: CHECK_CA,
  },
  ERR_SSL_WRONG_VERSION_NUMBER: { reason: 'does not speak TLS there', hint: 'Check the port in "url".' },
  ERR_SSL_PACKET_LENGTH_TOO_LONG: { reason: 'does not speak TLS there', hint: 'Check the port in "url".' },
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: {
    reason: 'does not know who has signed our certificate',
    hint: 'Check "tls: cert".',
  },
  ERR_SSL_SSL_TLSV1_ALERT_UNKNOWN_CA: {
    reason: 'does not know who has signed our certificate',
    hint: 'Check "tls: cert".',
  },
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: {
    reason: 'wants a certificate',
    hint: 'Give it with "tls: cert" and "tls: key".',
  },
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: { reason: 'says that our certificate has expired', hint: 'Renew it.' },
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: { reason: 'does not take our certificate', hint: 'Check "tls: cert".' },
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: { reason: 'does not take our certificate', hint: 'Check "tls: cert".' },
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: { reason: 'has no TLS in common with this gateway' },
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: { reason: 'has no version of TLS in common with this gateway' },
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: {
    reason: 'does not take what "tls: alpn" offers',
    hint: 'Check "tls: alpn".',
  },
}

/** The fault behind what MQTT.js or a socket threw; undefined means that the upstream closed the connection. `place` is `host:port`. */
export function faultOf(error: unknown, place: string): Fault {
  if (error instanceof UpstreamFault) return joined(error.failures.map(each => faultOf(each.error, each.place)))
  if (error === undefined) return { reason: `${place} closed the connection` }
  if (error instanceof LarderError) return { reason: error.message, ...(error.hint ? { hint: error.hint } : {}) }
  // Comes with a number of its own that is no code of MQTT.
  if ((error as Error).name === 'TimeoutError') return { reason: `${place} does not answer` }
  const refusal = (error as { code?: unknown } | null)?.code
  if (typeof refusal === 'number') return REFUSALS[refusal] ?? { reason: reasonOf(error) }
  const code = systemCodeOf(error)
  const tls = code === undefined ? undefined : TLS_FAULTS[code]
  if (tls !== undefined) return { ...tls, reason: `${place} ${tls.reason}` }
  switch (code) {
    case 'ECONNREFUSED':
      return { reason: `nothing listens at ${place}` }
    case 'ENOTFOUND':
      return { reason: `the name in ${place} is not known`, hint: 'Check "url".' }
    case 'EAI_AGAIN':
      return { reason: `the name in ${place} cannot be looked up now: is the network up?` }
    case 'EADDRNOTAVAIL':
      return { reason: 'this machine has no such address to connect from', hint: 'Check "bind_address".' }
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

/** A certificate was not valid by the clock of this machine, at one of the addresses. `error` as for `faultOf`. */
export function isClockFault(error: unknown): boolean {
  if (error instanceof UpstreamFault) return error.failures.some(each => isClockFault(each.error))
  return ['CERT_NOT_YET_VALID', 'CERT_HAS_EXPIRED'].includes(systemCodeOf(error) ?? '')
}

/** Several addresses failed: what is wrong with each, and the first thing that can be done. */
function joined(faults: readonly Fault[]): Fault {
  const reason = [...new Set(faults.map(each => each.reason))].join('; ')
  const hint = faults.find(each => each.hint !== undefined)?.hint
  return hint === undefined ? { reason } : { reason, hint }
}
