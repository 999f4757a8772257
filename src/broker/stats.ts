/**
 * What the hub counts since its start: plain numbers, counted where a thing happens, bytes by the chunk and not by the
 * packet. Nobody in the broker reads them.
 */
export interface HubStats {
  /** PUBLISH packets from clients. */
  received: number
  /** PUBLISH packets to clients. */
  sent: number
  /** Messages of QoS 0 not sent, and of clean sessions given up, because a client did not read. */
  dropped: number
  /** Messages not sent to a client because their time was over. */
  expired: number
  /** Messages not sent to a client because it takes no packets that large. */
  tooLarge: number
  /** PUBLISH packets that went nowhere because their client may not publish there. */
  denied: number
  /** Messages of links to other brokers that went nowhere because they had come, or begun, here before. */
  copies: number
  /** Bytes of payload in those PUBLISH packets. */
  payloadReceived: number
  payloadSent: number
  /** Packets of all types. */
  packetsReceived: number
  packetsSent: number
  /** Bytes of the MQTT streams, TLS and WebSocket frames not among them. */
  bytesReceived: number
  bytesSent: number
  /** Connections that listeners handed over. */
  sockets: number
  /** CONNECT packets. */
  connects: number
  /** Sessions that ended because nobody came back for them in time. */
  expiredSessions: number
  /** Clients that were connected at once, at most. */
  mostClients: number
}

export function newStats(): HubStats {
  return {
    received: 0,
    sent: 0,
    dropped: 0,
    expired: 0,
    tooLarge: 0,
    denied: 0,
    copies: 0,
    payloadReceived: 0,
    payloadSent: 0,
    packetsReceived: 0,
    packetsSent: 0,
    bytesReceived: 0,
    bytesSent: 0,
    sockets: 0,
    connects: 0,
    expiredSessions: 0,
    mostClients: 0,
  }
}
