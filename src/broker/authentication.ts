/** Enhanced authentication (MQTT 5 §4.12): AUTH packets before CONNACK, and again later when the client wants. */
import type { Conversation, EnhancedAuthentication } from '../access/ports.ts'
import type { AuthPacket } from '../mqtt/auth.ts'
import { MalformedPacketError, protocolError } from '../mqtt/malformed.ts'
import { ReasonCode } from '../mqtt/reason-codes.ts'
import type { Session } from './session.ts'

/** Steps of one conversation. SCRAM has two; more is a client that plays for time. */
const MAX_STEPS = 8

/** How the first authentication ended. */
export interface Authenticated {
  userName: string
  data: Buffer | undefined
}

export class Authentication {
  readonly #session: Session
  readonly #enhanced: EnhancedAuthentication | null
  #method: string | undefined
  #conversation: Conversation | null = null
  #steps = 0
  /** Waits for the end of the authentication that is part of CONNECT. */
  #connecting: { resolve: (result: Authenticated) => void; reject: (error: unknown) => void } | null = null

  constructor(deps: { session: Session; enhanced: EnhancedAuthentication | null }) {
    this.#session = deps.session
    this.#enhanced = deps.enhanced
  }

  /**
   * CONNECT asked for `method`. Resolves when the client has shown who it is; rejects with a MalformedPacketError whose
   * reason code belongs into CONNACK.
   */
  begin(method: string, data: Buffer | undefined): Promise<Authenticated> {
    this.#method = method
    return new Promise((resolve, reject) => {
      this.#connecting = { resolve, reject }
      this.#start(data)
    })
  }

  /** AUTH came. Returns false: what follows waits for the answer. */
  receive(packet: AuthPacket): boolean {
    const { authenticationMethod, authenticationData } = packet.properties
    // [MQTT-4.12.0-5] [MQTT-4.12.1-1]; without a method at CONNECT there is none now [MQTT-4.12.0-6].
    if (this.#method === undefined || authenticationMethod !== this.#method) {
      throw protocolError('AUTH with another authentication method than CONNECT')
    }
    if (packet.reasonCode === ReasonCode.RE_AUTHENTICATE) {
      if (!this.#session.connected || this.#conversation !== null) throw protocolError('re-authentication out of turn')
      this.#start(authenticationData)
    } else {
      if (this.#conversation === null) throw protocolError('AUTH out of turn')
      void this.#step(this.#conversation, authenticationData)
    }
    return false
  }

  #start(data: Buffer | undefined): void {
    const conversation = this.#enhanced?.begin(this.#method as string, this.#session.details.remoteAddress)
    if (conversation === undefined) {
      this.#refuse(ReasonCode.BAD_AUTHENTICATION_METHOD, `there is no authentication method ${this.#method}`)
      return
    }
    this.#conversation = conversation
    this.#steps = 0
    void this.#step(conversation, data)
  }

  async #step(conversation: Conversation, data: Buffer | undefined): Promise<void> {
    const session = this.#session
    try {
      if (++this.#steps > MAX_STEPS) throw new Error('too many steps')
      const answer = await conversation.step(data)
      if (session.closed) return
      if (answer.kind === 'refuse') {
        this.#refuse(ReasonCode.NOT_AUTHORIZED, answer.reason)
      } else if (answer.kind === 'continue') {
        this.#send(ReasonCode.CONTINUE_AUTHENTICATION, answer.data)
        session.resume()
      } else {
        this.#conversation = null
        this.#succeed(answer)
      }
    } catch {
      this.#refuse(ReasonCode.UNSPECIFIED_ERROR, 'the authentication failed')
    }
  }

  #succeed(result: Authenticated): void {
    const session = this.#session
    const connecting = this.#connecting
    this.#connecting = null
    if (connecting !== null) {
      connecting.resolve(result)
      return
    }
    if (result.userName !== session.userName) {
      this.#refuse(ReasonCode.NOT_AUTHORIZED, 'another user than at CONNECT')
      return
    }
    this.#send(ReasonCode.SUCCESS, result.data)
    session.resume()
  }

  #refuse(reasonCode: number, reason: string): void {
    this.#conversation = null
    const error = new MalformedPacketError(reason, reasonCode)
    const connecting = this.#connecting
    this.#connecting = null
    if (connecting !== null) connecting.reject(error)
    else this.#session.fail(error)
  }

  #send(reasonCode: number, data: Buffer | undefined): void {
    const properties = { authenticationMethod: this.#method, authenticationData: data }
    this.#session.sendControl({ cmd: 'auth', reasonCode, properties })
  }
}
