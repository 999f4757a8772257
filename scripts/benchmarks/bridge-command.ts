/**
 * `scripts/bench bridge`: how fast a bridge brings to Debian's mosquitto what waited over an outage. The backlog is on disk
 * when the upstream comes back; what counts is the time from the first message to the last at a subscriber there.
 */
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { freePort } from '../../test/support/free-port.ts'
import { startGateway } from '../../test/support/gateway.ts'
import { Ledger } from '../../test/support/ledger.ts'
import { startMosquitto } from '../../test/support/mosquitto.ts'
import { RawClient } from '../../test/support/mqtt-client.ts'
import { count, wholeNumbers } from './command-line.ts'
import { CORE } from './core.ts'

/** Messages a second: issue of the bridge. */
const TARGET = 5_000
/** Time in which the subscriber is there before the bridge is. */
const RETRY = '2s'
/** ms until a drain counts as stuck. */
const PATIENCE = 300_000

export async function bridgeCommand(args: readonly string[]): Promise<void> {
  const { json, version, ...numbers } = parseArgs({
    args: [...args],
    options: {
      json: { type: 'boolean', default: false },
      version: { type: 'string', default: '5' },
      messages: { type: 'string', default: '50000' },
      window: { type: 'string', default: '200' },
    },
  }).values
  const { messages, window } = wholeNumbers(numbers)
  const port = await freePort()
  await using gateway = await startGateway({
    cpu: CORE,
    config: `
log: { level: warn }
bridges:
  - name: cloud
    url: mqtt://127.0.0.1:${port}
    version: "${version}"
    max_inflight: ${window}
    retry: { min: ${RETRY}, max: ${RETRY} }
    out: [{ filter: bench/# }]
`,
  })
  const topicOf = (number: number) => `bench/${number % 100}`
  await new Ledger({ clientId: 'bench', count: messages, window: 500, topicOf }).run(gateway.port)
  const upstream = await startMosquitto({
    port,
    config: ['max_queued_messages 0', 'max_inflight_messages 0', 'log_type none'],
  })
  try {
    const { seconds, received } = await drain(port, messages)
    const rate = messages / seconds
    if (json) console.log(JSON.stringify({ messages, window, version, seconds, rate, repeated: received - messages }))
    else {
      console.log(
        `${cpus()[0]?.model ?? 'processor unknown'}, gateway on core ${CORE}, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}\n` +
          `${count(messages)} messages of QoS 1, MQTT ${version}, ${window} in flight: ${count(rate)} messages/s` +
          ` (target ${count(TARGET)}: ${rate >= TARGET ? 'reached' : 'missed'})`,
      )
    }
  } finally {
    await upstream.remove()
  }
}

/** From the first message to the last that is new. */
async function drain(port: number, messages: number): Promise<{ seconds: number; received: number }> {
  await using subscriber = await RawClient.connect({ port, keeping: false })
  const seen = new Set<string>()
  let received = 0
  let first = 0
  return await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`only ${seen.size} of ${messages} messages came`)), PATIENCE)
    subscriber.onPacket = packet => {
      if (packet.cmd !== 'publish') return
      if (received++ === 0) first = performance.now()
      seen.add(String(packet.payload))
      if (seen.size < messages) return
      clearTimeout(late)
      resolve({ seconds: (performance.now() - first) / 1000, received })
    }
    subscriber.subscribe({ topic: 'bench/#', qos: 0 }).catch(reject)
  })
}
