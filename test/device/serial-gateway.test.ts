/** Serial devices of the built gateway, from the line to the subscriber and back: asked by a schedule, written to by messages, commanded. */
import { symlinkSync } from 'node:fs'
import { expect, it } from 'vitest'
import { startGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { openPty, type Pty } from '../support/pty.ts'
import { startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'

it.skipIf(!needs('socat') || !needs('mosquitto_sub'))(
  'a thermometer that is asked, and a display that shows it',
  async () => {
    await using thermometer = await openPty()
    await using display = await openPty()
    const alias = `${thermometer.path}-alias`
    symlinkSync(thermometer.path, alias)
    let temperature = 20
    const answering = answer(thermometer, () => `${temperature}\n`)
    await using gateway = await startGateway({
      config: `
devices:
  - name: Thermometer
    room: Kitchen
    serial: { path: ${thermometer.path}, codec: number, ask: T?, every: 1h, timeout: 500ms }
  - name: Display
    room: Kitchen
    serial:
      path: ${display.path}
      template: "C{payload}\\n"
      write:
        - { topic: /Home/Kitchen/Thermometer, template: "{level -1} {payload} C\\n" }
        - { topic: display/json/+, template: "{level 3}:{value.text}\\n" }
  - { name: Twin, room: Kitchen, serial: { path: ${alias}, codec: number } }
schedules:
  - { cron: "* * * * * *", poll: Thermometer }
`,
    })
    await using sub = await startSub({ port: gateway.port, topics: ['/Home/Kitchen/#'] })
    const says = (topic: string, payload: string) =>
      sub.message(
        message => message.topic === `/Home/Kitchen/${topic}` && message.payload === payload,
        `${topic} ${payload}`,
      )

    await says('Thermometer', '20')
    await says('Thermometer/availability', 'online')
    await says('Twin/availability', 'offline')
    expect(await display.nextLine()).toBe('Thermometer 20 C')
    temperature = 21
    await says('Thermometer', '21') // the schedule asked
    await until(async () => (await display.nextLine()) === 'Thermometer 21 C', { what: 'the display' })

    const client = await RawClient.connect({ port: gateway.port })
    const publish = (topic: string, payload: string) =>
      client.send({ cmd: 'publish', topic, payload, qos: 0, retain: false, dup: false })
    const shown = async (line: string) => until(async () => (await display.nextLine()) === line, { what: line })
    publish('/Home/Kitchen/Display/set', 'clear')
    await shown('Cclear')
    publish('display/json/a', '{"text":"hello"}')
    await shown('a:hello')
    publish('display/json/a', '{"text":"two\\nlines"}')
    await says(
      'Display/error',
      'display/json/a: value.text has a line end or another control character in it, which is not written',
    )
    publish('/Home/Kitchen/Display/set', 'two\nlines')
    await says('Display/error', 'the payload has a line end or another control character in it, which is not written')
    client.socket.destroy()
    answering.stop()
  },
)

/** A device that says the same to every question. */
function answer(cable: Pty, say: () => string): { stop(): void } {
  let isOpen = true
  void (async () => {
    while (isOpen) if ((await cable.nextLine().catch(() => undefined)) !== undefined) cable.write(say())
  })()
  return {
    stop: () => {
      isOpen = false
    },
  }
}
