/**
 * Enhanced authentication with SCRAM-SHA-256 (RFC 5802, RFC 7677) over the users of a password file. The
 * password never travels, and each side proves to the other that it knows it. Without channel binding: the
 * GS2 headers are `n` and `y`. A user that does not exist, or whose entry has no SCRAM keys, goes the same
 * way as one with a wrong password, to the same refusal.
 */
import { isUtf8 } from 'node:buffer'
import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { Credentials } from './credentials.ts'
import { Decoys } from './decoys.ts'
import type { Conversation, Step } from './ports.ts'
import { saslprep } from './saslprep.ts'
import { hmac, type ScramKeys, sha256 } from './scram-keys.ts'
import { type ClientFirst, readClientFinal, readClientFirst } from './scram-messages.ts'

/** The authentication method, as the CONNECT packet names it. */
const METHOD = 'SCRAM-SHA-256'
/** Bytes of a message of a client: two names and a nonce take a tenth of it. */
const MAX_MESSAGE = 1_024
/** Bytes of the server's nonce: nobody sees the same one twice. */
const NONCE_BYTES = 18
/** The one answer to all who could not prove who they are. */
const NOT_PROVEN = 'wrong user name or password'

/** Makes an attempt to log in as that user when it may be made; rejects when it may not. */
export type Attempt = (userName: string, check: () => Promise<boolean>) => Promise<boolean>

/** Whom a client says it is. */
interface Account {
  userName: string
  keys: ScramKeys
  /** False when the keys are a decoy's. */
  exists: boolean
}

export class ScramAuthentication {
  readonly #credentials: Credentials
  readonly #decoys: Decoys
  readonly #nonce: () => string

  /** `nonce` gives printable ASCII without commas, another each time. `decoySecret` is random unless given. */
  constructor(deps: { credentials: Credentials; nonce?: () => string; decoySecret?: Buffer }) {
    this.#credentials = deps.credentials
    this.#decoys = new Decoys({ secret: deps.decoySecret ?? randomBytes(32) })
    this.#nonce = deps.nonce ?? (() => randomBytes(NONCE_BYTES).toString('base64'))
  }

  /** `attempt` is made once a conversation, with the proof; without it there is no waiting. */
  begin(method: string, attempt: Attempt = (_userName, check) => check()): Conversation | undefined {
    if (method !== METHOD) return undefined
    return new ScramConversation({ nonce: this.#nonce(), accountOf: userName => this.#accountOf(userName), attempt })
  }

  #accountOf(userName: string): Account {
    // Made in any case, so that it takes as long for a user as for nobody.
    const decoy = this.#decoys.keysOf(userName, this.#credentials.scramUsers)
    const keys = this.#credentials.scramOf(userName)
    return { userName, keys: keys ?? decoy, exists: keys !== undefined }
  }
}

type Expectation = (message: string) => Step | Promise<Step>

class ScramConversation implements Conversation {
  readonly #nonce: string
  readonly #accountOf: (userName: string) => Account
  readonly #attempt: Attempt
  #expect: Expectation = message => this.#first(message)

  constructor(deps: { nonce: string; accountOf: (userName: string) => Account; attempt: Attempt }) {
    this.#nonce = deps.nonce
    this.#accountOf = deps.accountOf
    this.#attempt = deps.attempt
  }

  async step(data: Buffer | undefined): Promise<Step> {
    const expect = this.#expect
    // Whatever does not lead on ends the conversation.
    this.#expect = () => refuse('the authentication is over')
    if (data === undefined) return refuse('there is no authentication data')
    if (data.length > MAX_MESSAGE) return refuse(`the authentication data has more than ${MAX_MESSAGE} bytes`)
    if (data.includes(0) || !isUtf8(data)) return refuse('the authentication data is not text')
    return expect(data.toString())
  }

  #first(message: string): Step {
    const first = readClientFirst(message)
    if ('fault' in first) return refuse(first.fault)
    const userName = saslprep(first.userName)
    if (userName === undefined) return refuse('the user name is empty or has prohibited characters')
    const identity = first.authorizationIdentity
    if (identity !== undefined && saslprep(identity) !== userName) return refuse('nobody may act as another user')

    const account = this.#accountOf(userName)
    const { salt, iterations } = account.keys
    const nonce = first.nonce + this.#nonce
    const serverFirst = `r=${nonce},s=${salt.toString('base64')},i=${iterations}`
    this.#expect = final => this.#final(final, { first, account, nonce, serverFirst })
    return { kind: 'continue', data: Buffer.from(serverFirst) }
  }

  async #final(
    message: string,
    so: { first: ClientFirst; account: Account; nonce: string; serverFirst: string },
  ): Promise<Step> {
    const final = readClientFinal(message)
    if ('fault' in final) return refuse(final.fault)
    if (final.nonce !== so.nonce) return refuse('the nonce is not that of this authentication')
    if (final.channelBinding !== Buffer.from(so.first.gs2Header).toString('base64')) {
      return refuse("the channel binding is not that of the client's first message")
    }
    const authMessage = `${so.first.bare},${so.serverFirst},${final.withoutProof}`
    const { userName, keys, exists } = so.account
    const mayEnter = await this.#attempt(userName, async () => {
      const isProven = proves(final.proof, keys, authMessage)
      return isProven && exists
    })
    if (!mayEnter) return refuse(NOT_PROVEN)
    const verifier = hmac(keys.serverKey, authMessage).toString('base64')
    return { kind: 'success', data: Buffer.from(`v=${verifier}`), userName }
  }
}

/** RFC 5802 §3: the proof is the client key, which hashes to the stored key, under a signature of the messages. */
function proves(proof: Buffer, keys: ScramKeys, authMessage: string): boolean {
  const signature = hmac(keys.storedKey, authMessage)
  const clientKey = Buffer.from(proof.map((byte, i) => byte ^ signature[i]!))
  return timingSafeEqual(sha256(clientKey), keys.storedKey)
}

function refuse(reason: string): Step {
  return { kind: 'refuse', reason }
}
