/**
 * The PROXY protocol of HAProxy, versions 1 (a line of text) and 2 (binary): who really connects, said by a proxy before
 * the first byte of the client. `parseProxyHeader` is pure; `readProxyHeader` takes the header off a socket and leaves
 * what follows in it. The header is believed, so a listener that asks for it must be reached by the proxy alone.
 */
import { isIPv4, isIPv6, type Socket, SocketAddress } from 'node:net'
import { plainAddress } from './server.ts'

/** Bytes of a line of version 1 with its end (specification, §2.1). */
const MAX_LINE = 107
/** Bytes after the fixed part of version 2: addresses take up to 216, and a client's certificate may come along. */
const MAX_BODY = 4_096
const FIXED_BYTES = 16
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const WORD = Buffer.from('PROXY ', 'latin1')

const PORT = /^(?:0|[1-9]\d{0,4})$/

/** Version 2, §2.2: command, and family with transport. */
const COMMAND_LOCAL = 0
const COMMAND_PROXY = 1
const TCP_OVER_IPV4 = 0x11
const TCP_OVER_IPV6 = 0x21
/** §2.2.6: what the proxy knows of the client's TLS connection. */
const TYPE_SSL = 0x20
const SUBTYPE_COMMON_NAME = 0x22
const CLIENT_CERTIFICATE = 0x02 | 0x04

export interface ProxyHeader {
  /** Bytes that it takes. */
  readonly length: number
  /** Absent when the connection is the proxy's own, or the proxy does not know: then the socket's address stands. */
  readonly source?: { readonly remoteAddress: string; readonly remotePort: number }
  /** Of the certificate that the client has shown to the proxy, and that the proxy found good. */
  readonly commonName?: string
}

/** What a peer sent is no PROXY header. */
export class ProxyError extends Error {}

/** The header at the beginning of `head`, or undefined when more bytes are needed. Throws a `ProxyError`. */
export function parseProxyHeader(head: Buffer): ProxyHeader | undefined {
  if (beginsLike(head, SIGNATURE)) return head.length < FIXED_BYTES ? undefined : parseBinary(head)
  if (beginsLike(head, WORD)) return parseLine(head)
  throw new ProxyError('the PROXY header is missing')
}

/** Reads a header; then calls `done`, with the socket standing at the byte after it, or `fail`. A socket that closes calls neither. */
export function readProxyHeader(
  socket: Socket,
  done: (header: ProxyHeader) => void,
  fail: (error: unknown) => void,
): void {
  let head = Buffer.alloc(0)
  const onReadable = () => {
    for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) {
      head = Buffer.concat([head, chunk])
      let header: ProxyHeader | undefined
      try {
        header = parseProxyHeader(head)
      } catch (error) {
        socket.off('readable', onReadable)
        return fail(error)
      }
      if (header === undefined) continue
      socket.off('readable', onReadable)
      if (head.length > header.length) socket.unshift(head.subarray(header.length))
      return done(header)
    }
  }
  socket.on('readable', onReadable)
}

function beginsLike(head: Buffer, word: Buffer): boolean {
  const length = Math.min(head.length, word.length)
  return head.subarray(0, length).equals(word.subarray(0, length))
}

function parseLine(head: Buffer): ProxyHeader | undefined {
  const end = head.subarray(0, MAX_LINE).indexOf('\r\n')
  if (end < 0) {
    if (head.length >= MAX_LINE) throw new ProxyError('the line of the PROXY header has no end')
    return undefined
  }
  const length = end + 2
  const [, family, address = '', destination = '', port = '', otherPort = '', ...more] = head
    .toString('latin1', 0, end)
    .split(' ')
  if (family === 'UNKNOWN') return { length }
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : () => false
  const isGood = isAddress(address) && isAddress(destination) && isPort(port) && isPort(otherPort) && more.length === 0
  if (!isGood) throw new ProxyError('the line of the PROXY header cannot be read')
  return { length, source: { remoteAddress: canonical(address), remotePort: Number(port) } }
}

function isPort(text: string): boolean {
  return PORT.test(text) && Number(text) <= 65_535
}

function parseBinary(head: Buffer): ProxyHeader | undefined {
  const version = head.readUInt8(12) >> 4
  const command = head.readUInt8(12) & 0x0f
  const family = head.readUInt8(13)
  const bodyLength = head.readUInt16BE(14)
  const isKnown = version === 2 && (command === COMMAND_LOCAL || command === COMMAND_PROXY)
  if (!isKnown || family >> 4 > 3 || (family & 0x0f) > 2) throw new ProxyError('the PROXY header cannot be read')
  if (bodyLength > MAX_BODY) throw new ProxyError(`the PROXY header is longer than ${MAX_BODY} bytes`)
  const length = FIXED_BYTES + bodyLength
  if (head.length < length) return undefined
  if (command === COMMAND_LOCAL) return { length }
  const body = head.subarray(FIXED_BYTES, length)
  const addressLength = [0, 12, 36, 216][family >> 4] as number
  if (body.length < addressLength) throw new ProxyError('the addresses of the PROXY header are cut off')
  const commonName = commonNameIn(body.subarray(addressLength))
  const proved = commonName === undefined ? {} : { commonName }
  if (family === TCP_OVER_IPV4) {
    const remoteAddress = body.subarray(0, 4).join('.')
    return { length, source: { remoteAddress, remotePort: body.readUInt16BE(8) }, ...proved }
  }
  if (family === TCP_OVER_IPV6) {
    const groups = Array.from({ length: 8 }, (_, i) => body.readUInt16BE(2 * i).toString(16))
    return {
      length,
      source: { remoteAddress: canonical(groups.join(':')), remotePort: body.readUInt16BE(32) },
      ...proved,
    }
  }
  return { length, ...proved }
}

function commonNameIn(fields: Buffer): string | undefined {
  for (const { type, value } of typed(fields)) {
    if (type !== TYPE_SSL) continue
    if (value.length < 5) throw new ProxyError('a field of the PROXY header is cut off')
    const hasCertificate = (value.readUInt8(0) & CLIENT_CERTIFICATE) !== 0
    const isVerified = value.readUInt32BE(1) === 0
    const name = typed(value.subarray(5)).find(field => field.type === SUBTYPE_COMMON_NAME)
    if (hasCertificate && isVerified && name !== undefined) return name.value.toString('utf8')
  }
  return undefined
}

function typed(fields: Buffer): { type: number; value: Buffer }[] {
  const found: { type: number; value: Buffer }[] = []
  for (let at = 0; at < fields.length; ) {
    const start = at + 3
    const end = start > fields.length ? start : start + fields.readUInt16BE(at + 1)
    if (end > fields.length) throw new ProxyError('a field of the PROXY header is cut off')
    found.push({ type: fields.readUInt8(at), value: fields.subarray(start, end) })
    at = end
  }
  return found
}

function canonical(address: string): string {
  return isIPv4(address) ? address : plainAddress(new SocketAddress({ address, family: 'ipv6' }).address)
}
