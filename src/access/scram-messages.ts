/**
 * The two messages of a SCRAM client (RFC 5802 §7), read by their grammar: attributes in the order of the
 * standard, nothing between them, base64 in the one right way. Each answers with a fault, for a log, when
 * the message is another. Optional extensions are passed over, as the standard asks.
 */
import { decodeBase64 } from './base64.ts'
import { KEY_BYTES } from './scram-keys.ts'

export interface ClientFirst {
  /** To be repeated, in base64, by the client's final message. */
  gs2Header: string
  /** All that follows; the proof is about it. */
  bare: string
  /** As sent, but for the escapes: not prepared. */
  userName: string
  /** Whom the client wants to be, when it says so. */
  authorizationIdentity: string | undefined
  nonce: string
}

export interface ClientFinal {
  /** The GS2 header of the client's first message, in base64. */
  channelBinding: string
  nonce: string
  /** All but the proof; the proof is about it. */
  withoutProof: string
  proof: Buffer
}

/** Letters that mean something are no extensions; `m` would be a mandatory one, which nobody knows. */
const EXTENSIONS = '(?:,(?![acimnprsve]=)[A-Za-z]=[^,]+)*'
const CLIENT_FIRST = new RegExp(`^([ny],(?:a=([^,]+))?,)(n=([^,]+),r=([!-+\\--~]+)${EXTENSIONS})$`)
const CLIENT_FINAL = new RegExp(`^(c=([^,]+),r=([^,]+)${EXTENSIONS}),p=([^,]+)$`)

/** Reads the client's first message. */
export function readClientFirst(message: string): ClientFirst | { fault: string } {
  if (message.startsWith('p=')) return { fault: 'channel binding is not supported' }
  const [, gs2Header, identity, bare, name, nonce] = CLIENT_FIRST.exec(message) ?? []
  if (gs2Header === undefined || bare === undefined || name === undefined || nonce === undefined) {
    return { fault: "the client's first message is malformed" }
  }
  const userName = unescapeName(name)
  const authorizationIdentity = identity === undefined ? undefined : unescapeName(identity)
  if (userName === undefined || (identity !== undefined && authorizationIdentity === undefined)) {
    return { fault: "a name has '=' that is not part of =2C or =3D" }
  }
  return { gs2Header, bare, userName, authorizationIdentity, nonce }
}

/** Reads the client's final message. */
export function readClientFinal(message: string): ClientFinal | { fault: string } {
  const [, withoutProof, channelBinding, nonce, encoded = ''] = CLIENT_FINAL.exec(message) ?? []
  const proof = decodeBase64(encoded)
  if (
    withoutProof === undefined ||
    channelBinding === undefined ||
    nonce === undefined ||
    proof?.length !== KEY_BYTES
  ) {
    return { fault: "the client's final message is malformed" }
  }
  return { channelBinding, nonce, withoutProof, proof }
}

/** RFC 5802 §5.1: ',' is sent as =2C and '=' as =3D; '=' before anything else MUST fail. */
function unescapeName(name: string): string | undefined {
  if (/=(?!2C|3D)/.test(name)) return undefined
  return name.replaceAll('=2C', ',').replaceAll('=3D', '=')
}
