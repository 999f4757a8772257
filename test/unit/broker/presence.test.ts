/** Who comes and goes is told to everybody who asks in aedes' ways; nothing is made of it for nobody. */
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { Hooks } from '../../../src/broker/aedes.ts'
import { Hub } from '../../../src/broker/hub.ts'
import type { Message } from '../../../src/broker/ports.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import { silentLog } from '../../../src/kernel/log.ts'
import { testLimits } from '../../support/limits.ts'
import { RawClient } from '../../support/mqtt-client.ts'
import { NO_LIMITS, testStore } from '../../support/store.ts'

async function startHub(hooks: Partial<Hooks> = {}): Promise<{ hub: Hub; visit: () => Promise<void> }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'larder-presence-'))
  const store = testStore(dataDir, { limits: NO_LIMITS })
  const hub = new Hub({ persistence: store, limits: testLimits({}), clock: systemClock, log: silentLog, hooks })
  await hub.listen()
  const server = createServer(socket => void hub.accept(socket, {})).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  onTestFinished(async () => {
    await hub.shut()
    server.close()
    await store.destroy()
    await rm(dataDir, { recursive: true })
  })
  const visit = async () => {
    const gone = new Promise<void>(resolve => hub.once('clientDisconnect', () => resolve()))
    const client = await RawClient.connect({ port, clientId: 'guest' })
    await client.disconnect()
    await gone
  }
  return { hub, visit }
}

function told({ topic, payload }: Pick<Message, 'topic' | 'payload'>): string {
  return `${topic.replace(/^\$SYS\/[^/]+/, '')} ${payload}`
}

const ARRIVAL = '/new/clients guest'
const DEPARTURE = '/disconnect/clients guest'

test('to a plug-in that subscribes', async () => {
  const { hub, visit } = await startHub()
  const heard: string[] = []
  hub.subscribe('$SYS/+/new/clients', (message, done) => {
    heard.push(told(message))
    done()
  })
  await visit()
  expect(heard).toEqual([ARRIVAL])
})

test('to a listener of the event publish, and to the hook published', async () => {
  const seen: string[] = []
  const { hub, visit } = await startHub({
    published: (message, _session, done) => {
      seen.push(`hook ${told(message)}`)
      done()
    },
  })
  const heard: string[] = []
  hub.on('publish', (message: Message) => heard.push(told(message)))
  await visit()
  expect(heard).toEqual([ARRIVAL, DEPARTURE])
  expect(seen.filter(line => line.includes('clients'))).toEqual([`hook ${ARRIVAL}`, `hook ${DEPARTURE}`])
})

test('to a shared subscription', async () => {
  const { hub, visit } = await startHub()
  const events: string[] = []
  hub.shared.add('away', { topic: '$share/all/$SYS/#', qos: 0 })
  hub.route = message => {
    events.push(told(message))
    return true
  }
  await visit()
  expect(events).toEqual([ARRIVAL, DEPARTURE])
})

test('as events in any case, and no message is made where nobody listens', async () => {
  const { hub, visit } = await startHub()
  const events: string[] = []
  hub.on('client', ({ id }) => events.push(`client ${id}`))
  hub.on('clientDisconnect', ({ id }) => events.push(`clientDisconnect ${id}`))
  hub.route = () => {
    events.push('a message')
    return true
  }
  await visit()
  expect(events).toEqual(['client guest', 'clientDisconnect guest'])
})
