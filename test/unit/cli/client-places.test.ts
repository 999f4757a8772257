/** Where `larder pub`, `sub` and `rr` connect to: what the flags say, and what DNS says where they leave it to that. */
import { createSocket, type Socket } from 'node:dgram'
import { promises } from 'node:dns'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readSettings } from '../../../src/cli/mqtt/settings.ts'
import { openSocket } from '../../../src/cli/mqtt/socket.ts'
import { ClientFault } from '../../../src/cli/mqtt/texts.ts'

test.each<[words: string[], expected: object]>([
  [
    ['-L', 'ws://anna:secret@pi/a/b'],
    { host: 'pi', port: 1883, webSocket: true, username: 'anna', password: 'secret' },
  ],
  [['-L', 'wss://[::1]:9001/a'], { host: '::1', port: 9001, webSocket: true, tls: { useSystemCertificates: true } }],
  [['-t', 'a', '--proxy', 'socks5h://proxy'], { proxy: { host: 'proxy', port: 1080, username: '', password: '' } }],
  [
    ['-t', 'a', '--proxy', 'socks5h://u:p%40@[::1]:80'],
    { proxy: { host: '::1', port: 80, username: 'u', password: 'p@' } },
  ],
])('%j', (words, expected) => {
  expect(readSettings('pub', [...words, '-m', 'x'], 1)).toMatchObject(expected)
})

/** A name server that knows two servers of MQTT, the better one at a port that somebody listens at. */
let dns: Socket
let server: Server
let asked: string[]
let before: string[]
beforeEach(async () => {
  before = promises.getServers()
  asked = []
  server = createServer(socket => socket.end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  dns = createSocket('udp4')
  dns.on('message', (query, { port: back, address }) => {
    // Behind the header of 12 bytes: the name, label by label, its type and its class.
    const labels: string[] = []
    let at = 12
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length))
      at += 1 + length
    }
    asked.push(labels.join('.'))
    const question = query.subarray(12, at + 5)
    const isKnown = labels[0] === '_mqtt'
    const answers = isKnown ? [srv(20, 1), srv(10, port)] : []
    const header = Buffer.from(query.subarray(0, 12))
    header.writeUInt16BE(isKnown ? 0x8180 : 0x8183, 2)
    header.writeUInt16BE(answers.length, 6)
    header.fill(0, 8)
    dns.send(Buffer.concat([header, question, ...answers]), back, address)
  })
  dns.bind(0, '127.0.0.1')
  await once(dns, 'listening')
  promises.setServers([`127.0.0.1:${dns.address().port}`])
})
afterEach(() => {
  promises.setServers(before)
  dns.close()
  server.close()
})

/** A record of type SRV (RFC 2782) for the name of the question. */
function srv(priority: number, port: number): Buffer {
  const host = Buffer.concat([Buffer.from([9]), Buffer.from('localhost'), Buffer.from([0])])
  const data = Buffer.concat([Buffer.alloc(6), host])
  data.writeUInt16BE(priority, 0)
  data.writeUInt16BE(port, 4)
  const record = Buffer.alloc(12)
  record.writeUInt16BE(0xc00c, 0)
  record.writeUInt16BE(33, 2)
  record.writeUInt16BE(1, 4)
  record.writeUInt32BE(60, 6)
  record.writeUInt16BE(data.length, 10)
  return Buffer.concat([record, data])
}

const settingsOf = (...words: string[]) => {
  const settings = readSettings('pub', ['-t', 'a', '-m', 'x', ...words], 1)
  if (typeof settings === 'string') throw new Error(settings)
  return settings
}

test('-S: the server with the lowest priority that DNS names', async () => {
  const socket = await openSocket(settingsOf('-h', 'home.example', '-S'))
  socket.destroy()
  expect(asked).toEqual(['_mqtt._tcp.home.example'])
})

test('-S: no such name', async () => {
  const found = openSocket(settingsOf('-h', 'home.example', '-S', '--tls-use-os-certs'))
  await expect(found).rejects.toThrow(ClientFault)
  await expect(found).rejects.toThrow('Lookup error')
  expect(asked[0]).toBe('_secure-mqtt._tcp.home.example')
})
