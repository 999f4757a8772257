/** AUTH, which only MQTT 5 has (§3.15). */
import { encodeReason } from './disconnect.ts'
import { protocolError } from './malformed.ts'
import { PacketType } from './packets.ts'
import { type Properties, readProperties } from './properties.ts'
import { ReasonCode } from './reason-codes.ts'
import { WireReader } from './wire.ts'

export interface AuthPacket {
  cmd: 'auth'
  reasonCode: number
  /** Always with an authentication method [MQTT-4.12.0-5]. */
  properties: Properties
}

/** Decodes the AUTH of a client whose variable header begins at `body`. Throws as `decodeControl` does. */
export function decodeAuth(frame: Buffer, body: number, maxUserProperties?: number): AuthPacket {
  const reader = new WireReader('AUTH', frame, body, frame.length)
  const reasonCode = reader.at === reader.end ? ReasonCode.SUCCESS : reader.byte('reason code')
  // [MQTT-3.15.2-1] [MQTT-4.12.0-3] [MQTT-4.12.1-1] Success is for the server to say.
  if (reasonCode !== ReasonCode.CONTINUE_AUTHENTICATION && reasonCode !== ReasonCode.RE_AUTHENTICATE) {
    throw protocolError(`AUTH from a client has reason code ${reasonCode}`)
  }
  const properties = reader.at === reader.end ? {} : readProperties(reader, PacketType.AUTH, maxUserProperties)
  reader.finish()
  // §3.15.2.2.2
  if (properties.authenticationMethod === undefined) throw protocolError('AUTH has no authentication method')
  return { cmd: 'auth', reasonCode, properties }
}

/** Throws RangeError for a reason code that AUTH cannot have. */
export function encodeAuth(packet: AuthPacket): Buffer {
  return encodeReason(PacketType.AUTH, packet.reasonCode, packet.properties)
}
