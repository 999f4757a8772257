/**
 * The client's half of SCRAM-SHA-256 (RFC 5802 §5), to converse with the server's. It checks what a client
 * must, and throws when that is not so. It does not prepare names and passwords: give them prepared.
 */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'

export interface ScramClientOptions {
  userName: string
  password: string
  /** What the client's nonce is. Default: always the same. */
  nonce?: string
  /** Default: `n,,`. */
  gs2Header?: string
}

export class ScramClient {
  readonly #options: Required<ScramClientOptions>
  readonly #bare: string
  #serverSignature = ''

  constructor(options: ScramClientOptions) {
    this.#options = { nonce: 'fyko+d2lbbFgONRv9qkxdawL', gs2Header: 'n,,', ...options }
    const name = options.userName.replaceAll('=', '=3D').replaceAll(',', '=2C')
    this.#bare = `n=${name},r=${this.#options.nonce}`
  }

  /** The client's first message. */
  first(): Buffer {
    return Buffer.from(this.#options.gs2Header + this.#bare)
  }

  /** The client's final message. */
  final(serverFirst: Buffer): Buffer {
    const message = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(serverFirst)
    const [, nonce, salt, iterations] = /^r=([!-+\--~]+),s=([A-Za-z0-9+/]+=*),i=([1-9][0-9]*)$/.exec(message) ?? []
    if (nonce === undefined || salt === undefined) throw new Error("the server's first message is malformed")
    if (!nonce.startsWith(this.#options.nonce)) throw new Error("the nonce does not begin with the client's")
    const rounds = Number(iterations)
    if (rounds < 4_096 || rounds > 100_000) throw new Error(`${rounds} iterations`)

    const withoutProof = `c=${Buffer.from(this.#options.gs2Header).toString('base64')},r=${nonce}`
    const authMessage = `${this.#bare},${message},${withoutProof}`
    const salted = pbkdf2Sync(this.#options.password, Buffer.from(salt, 'base64'), rounds, 32, 'sha256')
    const clientKey = hmac(salted, 'Client Key')
    const signature = hmac(createHash('sha256').update(clientKey).digest(), authMessage)
    const proof = Buffer.from(clientKey.map((byte, i) => byte ^ (signature[i] ?? 0)))
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), authMessage).toString('base64')
    return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`)
  }

  /** True when the server has proved that it knows the password too. */
  accepts(serverFinal: Buffer | undefined): boolean {
    return this.#serverSignature !== '' && serverFinal?.toString('latin1') === `v=${this.#serverSignature}`
  }
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
