/**
 * Asks the gateway for a sign of life and takes the time, in a process of its own, so that what the soak's clients do
 * is not counted as the gateway's delay:
 *   node pinger.mjs PORT
 * Prints one line a second: JSON {pings, p50, p99, max, late} in ms. `late` is by how much the 99th of its own timers
 * came late: what the machine, and not the gateway, adds.
 *
 * A PINGREQ leaves every EVERY ms whether or not the one before was answered, so a gateway that stands still for a
 * second owes fifty answers and not one.
 */
import { connect } from 'node:net'

const EVERY = 20
const REPORT_EVERY = 1_000
const PINGREQ = Buffer.of(0xc0, 0)

const clientId = 'soak-pinger'
const connectPacket = Buffer.concat([
  Buffer.of(0x10, 12 + clientId.length),
  Buffer.from('00044d5154540402000000', 'hex'),
  Buffer.of(clientId.length),
  Buffer.from(clientId),
])

const socket = connect(Number(process.argv[2]), '127.0.0.1')
socket.setNoDelay(true)
socket.write(connectPacket)

/** Times at which the pings left that have no answer yet. */
const waiting = []
let answered = []
let lates = []
let handshake = 4

socket.on('data', chunk => {
  const now = performance.now()
  let bytes = chunk.length
  const greeting = Math.min(handshake, bytes)
  handshake -= greeting
  bytes -= greeting
  // PINGRESP has two bytes, and nothing else comes to a client without subscriptions.
  for (; bytes >= 2; bytes -= 2) answered.push(now - waiting.shift())
})
socket.on('close', () => process.exit(1))

let due = performance.now()
const ping = () => {
  const now = performance.now()
  lates.push(now - due)
  if (handshake === 0) {
    waiting.push(now)
    socket.write(PINGREQ)
  }
  due = Math.max(due + EVERY, now)
  setTimeout(ping, due - performance.now())
}
ping()

setInterval(() => {
  const sorted = answered.sort((a, b) => a - b)
  const own = lates.sort((a, b) => a - b)
  const at = (values, part) => values[Math.min(values.length - 1, Math.floor(values.length * part))]
  if (sorted.length > 0) {
    const [p50, p99, max] = [at(sorted, 0.5), at(sorted, 0.99), sorted.at(-1)]
    process.stdout.write(`${JSON.stringify({ pings: sorted.length, p50, p99, max, late: at(own, 0.99) })}\n`)
  }
  answered = []
  lates = []
}, REPORT_EVERY)
