/**
 * What is said when something fails, in the words of Mosquitto's programs and with their exit status, because scripts
 * look for both: https://mosquitto.org/man/mosquitto_sub-1.html.
 */
import { systemCodeOf } from '../../kernel/errors.ts'
import type { ProtocolVersion } from '../../mqtt/packets.ts'
import { ReasonCode } from '../../mqtt/reason-codes.ts'

/** Exit status of a fault that the programs do not number. */
export const STATUS_FAILED = 1
/** Exit status when the connection went away. */
export const STATUS_LOST = 7
/** Exit status when the server and we do not agree on TLS, or it is not whom it should be. */
export const STATUS_TLS = 8
/** Exit status when `-W` ended the wait. */
export const STATUS_TIMED_OUT = 27

/** Ends a command: what is said on stderr, each with its line break, and the exit status. */
export class ClientFault extends Error {
  readonly status: number

  constructor(lines: string, status: number = STATUS_FAILED) {
    super(lines)
    this.name = 'ClientFault'
    this.status = status
  }
}

/** Return codes of MQTT 3.1.1 §3.2.2.3. */
const REFUSALS: Readonly<Record<number, string>> = {
  1: 'unacceptable protocol version',
  2: 'identifier rejected',
  3: 'broker unavailable',
  4: 'bad user name or password',
  5: 'not authorised',
}

/** What strerror(3) says of the errors that a connection ends with. */
const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  EACCES: 'Permission denied',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  ECONNREFUSED: 'Connection refused',
  ECONNRESET: 'Connection reset by peer',
  EHOSTUNREACH: 'No route to host',
  ENETUNREACH: 'Network is unreachable',
  ENOENT: 'No such file or directory',
  EPIPE: 'Broken pipe',
  ETIMEDOUT: 'Connection timed out',
}

/** Terms of the standard, which Mosquitto writes with capitals in the names of reason codes. */
const TERMS =
  /malformed packet|protocol error|protocol version|(client|packet) identifier|user name|password|keep alive|topic (filter|name|alias)|receive maximum|(shared|wildcard) subscriptions/g

/** Of a CONNACK that refuses. */
export function refusal(code: number, version: ProtocolVersion): string {
  if (version !== 5) return `Connection error: Connection Refused: ${REFUSALS[code] ?? 'unknown reason'}.`
  const mend =
    code === ReasonCode.UNSUPPORTED_PROTOCOL_VERSION
      ? '. Try connecting to an MQTT v5 broker, or use MQTT v3.x mode.'
      : ''
  return `Connection error: ${reasonText(code)}${mend}`
}

/** A reason code of MQTT 5 in words: 0x87 is "Not authorized". */
export function reasonText(code: number): string {
  const name = Object.entries(ReasonCode).find(([, value]) => value === code)?.[0]
  if (name === undefined) return 'Unknown reason'
  const words = name.toLowerCase().replaceAll('_', ' ').replace('qos', 'QoS').replace(TERMS, capitalised)
  return words.charAt(0).toUpperCase() + words.slice(1)
}

/** Why no connection came about. */
export function connectFault(error: unknown): ClientFault {
  const code = systemCodeOf(error) ?? ''
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return new ClientFault('Unable to connect (Lookup error.).\n')
  const text = SYSTEM_ERRORS[code]
  if (text !== undefined) return new ClientFault(`Error: ${text}\n`)
  return new ClientFault(`Error: ${error instanceof Error ? error.message : String(error)}\n`)
}

function capitalised(words: string): string {
  return words.replace(/\b[a-z]/g, letter => letter.toUpperCase())
}
