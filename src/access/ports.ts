/**
 * What access control offers to a session. A session knows nothing of mechanisms: it carries data between
 * AUTH packets and a conversation until that ends, and turns a refusal into the reason code of its packet.
 */

/** The server's answer to one piece of authentication data. */
export type Step =
  /** AUTH with 0x18 (Continue authentication) [MQTT-4.12.0-2]. */
  | { kind: 'continue'; data: Buffer }
  /** CONNACK, or AUTH at a re-authentication, with 0x00. The client is `userName` from now on. */
  | { kind: 'success'; data: Buffer | undefined; userName: string }
  /** `reason` may be sent: it does not tell whether the user exists. */
  | { kind: 'refuse'; reason: string }

/** One enhanced authentication (MQTT 5 §4.12): the server's half of a conversation. */
export interface Conversation {
  /**
   * Takes the client's authentication data, undefined when the packet had none, and gives the answer, which may take
   * its time. Never rejects for what the client sent; rejects when too many log in at once. The conversation is over after success or refusal: further steps are refused.
   */
  step(data: Buffer | undefined): Promise<Step>
}

export interface EnhancedAuthentication {
  /**
   * Begins a conversation, also to authenticate again. Undefined: there is no such method, which is 0x8C.
   * `address` is the peer's, where it has one.
   */
  begin(method: string, address?: string): Conversation | undefined
}
