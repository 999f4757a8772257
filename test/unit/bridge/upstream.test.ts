/** What MQTT.js may do at any moment: its callbacks are called by hand here, because a wire cannot be made to be that late. */
import { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import type { connect, MqttClient } from 'mqtt'
import { expect, test } from 'vitest'
import { Upstream } from '../../../src/bridge/upstream.ts'
import { ManualClock } from '../../support/manual-clock.ts'

type Callback = (error?: Error) => void

class Client extends EventEmitter {
  readonly stream = new PassThrough()
  readonly connected = true
  readonly callbacks: Callback[] = []

  publish(_topic: string, _payload: Buffer, _options: object, callback: Callback): void {
    this.callbacks.push(callback)
  }
}

test('an acknowledgement counts only while its connection stands, and only without an error', () => {
  const client = new Client()
  const events: string[] = []
  const upstream = new Upstream({
    settings: {
      name: 'cloud',
      url: 'mqtt://cloud.example',
      clientId: 'larder',
      keepalive: 0,
      maxInflight: 1,
      retry: { min: 1, max: 1 },
      out: [],
    },
    connect: (() => client as unknown as MqttClient) as typeof connect,
    clock: new ManualClock(),
    onUp: () => events.push('up'),
    onDown: error => events.push(`down ${error}`),
  })
  client.emit('connect')
  for (const topic of ['good', 'failed', 'late']) {
    upstream.publish({ topic, qos: 1 }, Buffer.alloc(0), { retain: false, dup: false }, () => events.push(topic))
  }
  client.callbacks[0]?.()
  client.callbacks[1]?.(new Error('Connection closed'))
  client.emit('close')
  client.callbacks[2]?.()
  client.emit('close')
  expect(events).toEqual(['up', 'good', 'down undefined'])
  expect(upstream.ready).toBe(false)
})
