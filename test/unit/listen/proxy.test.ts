/** Vectors by hand after the specification of the PROXY protocol, version 2020-11. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ProxyError, parseProxyHeader, readProxyHeader } from '../../../src/listen/proxy.ts'
import { until } from '../../support/wait.ts'
import { binaryProxyHeader, PROXY_SIGNATURE as SIGNATURE, typedField } from './support.ts'

const IPV4 = [192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x04, 0xd2]
const IPV4_SOURCE = { remoteAddress: '192.0.2.1', remotePort: 56_324 }
const IPV6 = [
  ...ipv6('20010db8000000000000000000000001'),
  ...ipv6('20010db8000000000000000000000002'),
  0x01,
  0xbb,
  0,
  80,
]

function ipv6(hex: string): number[] {
  return [...Buffer.from(hex, 'hex')]
}

function ssl(client: number, verify: number, name = 'lamp'): number[] {
  return typedField(0x20, [
    client,
    0,
    0,
    0,
    verify,
    ...typedField(0x21, [...Buffer.from('TLSv1.3')]),
    ...typedField(0x22, [...Buffer.from(name)]),
  ])
}

describe('a PROXY header', () => {
  test.each<[string, Buffer, object]>([
    ['version 1, IPv4 (§2.1)', line('PROXY TCP4 192.0.2.1 198.51.100.2 56324 443'), { source: IPV4_SOURCE }],
    [
      'version 1, the longest IPv4 line (§2.1)',
      line('PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535'),
      { source: { remoteAddress: '255.255.255.255', remotePort: 65_535 } },
    ],
    [
      'version 1, the longest IPv6 line (§2.1)',
      line('PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535'),
      { source: { remoteAddress: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', remotePort: 65_535 } },
    ],
    [
      'version 1, IPv6 in long form',
      line('PROXY TCP6 2001:0DB8:0:0:0:0:0:1 ::1 4 5'),
      { source: { remoteAddress: '2001:db8::1', remotePort: 4 } },
    ],
    [
      'version 1, IPv4 in IPv6',
      line('PROXY TCP6 ::ffff:192.0.2.1 ::1 4 5'),
      { source: { remoteAddress: '192.0.2.1', remotePort: 4 } },
    ],
    ['version 1, unknown (§2.1)', line('PROXY UNKNOWN'), {}],
    [
      'version 1, the longest line of all, unknown (§2.1)',
      line('PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535'),
      {},
    ],
    ['version 2, IPv4 (§2.2)', binaryProxyHeader(0x21, 0x11, IPV4), { source: IPV4_SOURCE }],
    [
      'version 2, IPv6',
      binaryProxyHeader(0x21, 0x21, IPV6),
      { source: { remoteAddress: '2001:db8::1', remotePort: 443 } },
    ],
    ['version 2, LOCAL, addresses not looked at (§2.2)', binaryProxyHeader(0x20, 0x11, IPV4), {}],
    ['version 2, LOCAL without anything', binaryProxyHeader(0x20, 0x00, []), {}],
    ['version 2, unspecified family', binaryProxyHeader(0x21, 0x00, [1, 0, 0]), {}],
    ['version 2, a Unix socket', binaryProxyHeader(0x21, 0x31, Array(216).fill(7)), {}],
    ['version 2, UDP is not ours', binaryProxyHeader(0x21, 0x12, IPV4), {}],
    [
      'version 2, fields that nobody knows are skipped',
      binaryProxyHeader(0x21, 0x11, [...IPV4, ...typedField(0x04, [0, 0, 0]), ...typedField(0xea, [1, 2, 3])]),
      { source: IPV4_SOURCE },
    ],
    [
      'version 2, the common name of a verified certificate (§2.2.6)',
      binaryProxyHeader(0x21, 0x11, [...IPV4, ...typedField(0x02, [0x61]), ...ssl(0x07, 0)]),
      { source: IPV4_SOURCE, commonName: 'lamp' },
    ],
    [
      'version 2, a certificate that is not good',
      binaryProxyHeader(0x21, 0x11, [...IPV4, ...ssl(0x07, 1)]),
      { source: IPV4_SOURCE },
    ],
    [
      'version 2, TLS without a certificate',
      binaryProxyHeader(0x21, 0x11, [...IPV4, ...ssl(0x01, 0)]),
      { source: IPV4_SOURCE },
    ],
    [
      'version 2, as long as it may be',
      binaryProxyHeader(0x21, 0x11, [...IPV4, ...typedField(0x04, Array(4_096 - 15).fill(0))]),
      { source: IPV4_SOURCE },
    ],
  ])('%s', (_what, header, expected) => {
    const rest = Buffer.from('\x10\x0c')
    expect(parseProxyHeader(Buffer.concat([header, rest]))).toEqual({ length: header.length, ...expected })
    // Byte by byte: nothing is known before the last, and nothing is thrown.
    for (let bytes = 0; bytes < header.length; bytes++) {
      expect(parseProxyHeader(header.subarray(0, bytes))).toBeUndefined()
    }
  })

  test.each<[string, Buffer]>([
    ['MQTT', Buffer.from([0x10, 0x0c, 0, 4])],
    ['TLS', Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01])],
    ['another word', Buffer.from('PROXX TCP4')],
    ['lower case', line('proxy TCP4 192.0.2.1 198.51.100.2 56324 443')],
    ['no family', line('PROXY ')],
    ['another family', line('PROXY TCP5 192.0.2.1 198.51.100.2 56324 443')],
    ['an IPv6 address as IPv4', line('PROXY TCP4 ::1 ::1 1 2')],
    ['an IPv4 address as IPv6', line('PROXY TCP6 192.0.2.1 192.0.2.2 1 2')],
    ['an address with a zone', line('PROXY TCP4 192.0.2.1%eth0 192.0.2.2 1 2')],
    ['a part of an address', line('PROXY TCP4 192.0.2 198.51.100.2 1 2')],
    ['leading zeros in an address', line('PROXY TCP4 192.000.002.001 198.51.100.2 1 2')],
    ['a port too large', line('PROXY TCP4 192.0.2.1 198.51.100.2 65536 443')],
    ['a port with a leading zero', line('PROXY TCP4 192.0.2.1 198.51.100.2 01 443')],
    ['a negative port', line('PROXY TCP4 192.0.2.1 198.51.100.2 -1 443')],
    ['no ports', line('PROXY TCP4 192.0.2.1 198.51.100.2')],
    ['two spaces', line('PROXY TCP4  192.0.2.1 198.51.100.2 1 2')],
    ['something after the ports', line('PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3')],
    ['a line feed alone', Buffer.from(`PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n${' '.repeat(107)}`)],
    ['a line that does not end in 107 bytes', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(107)}\r\n`)],
    ['the signature broken off', Buffer.from('\r\n\r\n\0\r\nQUIX')],
    ['version 1 in binary', binaryProxyHeader(0x11, 0x11, IPV4)],
    ['version 3', binaryProxyHeader(0x31, 0x11, IPV4)],
    ['a command that nobody knows', binaryProxyHeader(0x22, 0x11, IPV4)],
    ['a family that nobody knows', binaryProxyHeader(0x21, 0x41, IPV4)],
    ['a transport that nobody knows', binaryProxyHeader(0x21, 0x13, IPV4)],
    ['addresses cut off, IPv4', binaryProxyHeader(0x21, 0x11, IPV4.slice(1))],
    ['addresses cut off, IPv6', binaryProxyHeader(0x21, 0x21, IPV6.slice(1))],
    ['a field cut off', binaryProxyHeader(0x21, 0x11, [...IPV4, 0x04, 0, 3, 0, 0])],
    ['the head of a field cut off', binaryProxyHeader(0x21, 0x11, [...IPV4, 0x04, 0])],
    ['TLS cut off', binaryProxyHeader(0x21, 0x11, [...IPV4, ...typedField(0x20, [1, 0, 0])])],
    [
      'a field inside TLS cut off',
      binaryProxyHeader(0x21, 0x11, [...IPV4, ...typedField(0x20, [7, 0, 0, 0, 0, 0x22, 0, 9, 1])]),
    ],
    // Refused by its head alone, before the bytes are waited for.
    ['too long', Buffer.from([...SIGNATURE, 0x21, 0x11, 0x10, 0x01])],
  ])('is refused: %s', (_what, bytes) => {
    expect(() => parseProxyHeader(bytes)).toThrow(ProxyError)
  })
})

describe('reading it off a socket', () => {
  async function pair(): Promise<{ client: Socket; socket: Socket }> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = connect((server.address() as { port: number }).port, '127.0.0.1')
    const [socket] = (await once(server, 'connection')) as [Socket]
    onTestFinished(() => {
      client.destroy()
      socket.destroy()
      server.close()
    })
    return { client, socket }
  }

  test.each([1, 3, 1_000])('leaves every byte after it in the socket, come in pieces of %i', async size => {
    const { client, socket } = await pair()
    const header = binaryProxyHeader(0x21, 0x11, IPV4)
    const bytes = Buffer.concat([header, Buffer.from('kitchen')])
    const read: string[] = []
    readProxyHeader(
      socket,
      ({ source }) => {
        read.push(JSON.stringify(source))
        socket.on('data', chunk => read.push(String(chunk)))
      },
      error => read.push(String(error)),
    )
    client.setNoDelay(true)
    for (let at = 0; at < bytes.length; at += size) {
      client.write(bytes.subarray(at, at + size))
      const written = at + size
      // Each piece is on its way by itself.
      await until(() => socket.bytesRead >= Math.min(written, bytes.length), { what: 'the piece', every: 1 })
    }
    await until(() => read.slice(1).join('') === 'kitchen', { what: () => `the rest, got ${read.join(' ')}` })
    expect(read[0]).toBe(JSON.stringify(IPV4_SOURCE))
  })
})

function line(text: string): Buffer {
  return Buffer.from(`${text}\r\n`, 'latin1')
}
