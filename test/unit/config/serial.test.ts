// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are templates of larder.yaml, not of JavaScript
/** The port of a serial device as an owner writes it: which one, what is asked, what is written to it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { portEntries } from '../../../src/config/kinds/serial-port.ts'
import { configOf, faultsOf } from './loading.ts'

const settings = (serial: string) =>
  configOf(`devices: [{ name: A, room: R, serial: { ${serial} } }]`).devices[0]?.settings

/** Faults without their places. */
const faults = (...serials: string[]) =>
  faultsOf(
    `devices: [${serials.map((serial, i) => `{ name: A${i}, room: R, serial: { ${serial} } }`).join(', ')}]`,
  ).map(line => line.replace(/^[\d:]+ /, ''))

test('an adapter by what it says of itself', () => {
  expect(settings('usb: { vendor: "10C4", product: "ea60" }')).toMatchObject({
    usb: { vendor: '10c4', product: 'ea60' },
  })
  expect(settings('usb: { vendor: "0403", product: "6001", serial: A5069RR4, interface: 0 }')).not.toHaveProperty(
    'path',
  )
})

test('one question or several, each with the line ending', () => {
  expect(settings('path: /x, ask: T?')).toMatchObject({ ask: ['T?\n'], every: 10_000, timeout: 1000, retries: 2 })
  expect(
    settings('path: /x, ask: [T?, H?], write_line_ending: "\\r", every: 5s, timeout: 300ms, retries: 0, gap: 20ms'),
  ).toMatchObject({ ask: ['T?\r', 'H?\r'], every: 5000, timeout: 300, retries: 0, gap: 20 })
})

test('messages that are written to it', () => {
  const text =
    'path: /x, template: "{payload}!", write: [{ topic: /Home/+/Display, template: "{level -1}={value.a.0} {topic}\\n" }, ' +
    `{ topic: x, template: '{"on":"{payload}"}' }]`
  expect(settings(text)).toMatchObject({
    template: [{ payload: true }, '!'],
    write: [
      { topic: '/Home/+/Display', template: [{ level: -1 }, '=', { value: ['a', '0'] }, ' ', { topic: true }, '\n'] },
      { topic: 'x', template: ['{"on":"', { payload: true }, '"}'] },
    ],
  })
})

test.each<[string, string]>([
  [
    'baud: 300',
    'devices[0].serial.path: needs the port: path: /dev/ttyUSB0, or usb: { vendor: "0403", product: "6001" }',
  ],
  [
    'path: /x, usb: { vendor: "0403", product: "6001" }',
    'devices[0].serial.usb: the port has a path already; leave one of the two out',
  ],
  ['usb: { vendor: "0403" }', 'devices[0].serial.usb.product: is required, such as product: "6001"'],
  [
    'usb: { vendor: 0403, product: "60 1" }',
    'devices[0].serial.usb.vendor: must be four hexadecimal digits in quotes, such as "0403", as lsusb shows them',
  ],
  [
    'path: /x, write: [{ topic: a/#/b, template: "x" }]',
    "devices[0].serial.write[0].topic: '#' in a topic filter must be its whole last level",
  ],
  [
    'path: /x, write: [{ topic: a, template: "T{payloud}" }]',
    "devices[0].serial.write[0].template: {payloud} is not known: there is {payload}, {topic}, {level 1} and {value.name}; did you mean 'payload'?",
  ],
  [
    'path: /x, template: "{level 0}"',
    'devices[0].serial.template: {level 0} is not known: there is {payload}, {topic}, {level 1} and {value.name}',
  ],
  ['path: /x, template: "{value.}"', 'devices[0].serial.template: {value.} is not known'],
  ['path: /x, ask: []', 'devices[0].serial.ask: needs at least one entry, such as - "T?"'],
  ['path: /x, ask: { a: b }', 'devices[0].serial.ask: must be text, such as "T?"; found a map'],
])('%s', (serial, fault) => {
  expect(faults(serial)[0]).toContain(fault)
})

test('too many questions', () => {
  expect(faults(`path: /x, ask: [${Array(17).fill('q')}]`)[0]).toContain(
    'devices[0].serial.ask: has more than 16 questions',
  )
})

test('one adapter twice', () => {
  const one = 'usb: { vendor: "10c4", product: "ea60" }'
  expect(faults(one, 'usb: { vendor: "10C4", product: "EA60" }')).toEqual([
    'devices[1].serial.usb: the adapter 10c4:ea60 is taken already, by devices[0]: a port has one reader',
  ])
  expect(faults(one, 'usb: { vendor: "10c4", product: "ea60", interface: 1 }')).toEqual([])
})

test('docs/serial.md has every key, and its example is valid', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/serial.md'), 'utf8')
  const rows = page.slice(page.indexOf('## Keys'), page.indexOf('## Which port')).matchAll(/^\| `(\w+)` \|/gm)
  expect([...rows].map(([, key]) => key).sort()).toEqual([...Object.keys(portEntries), 'baud'].sort())
  expect(faultsOf(/```yaml\n(.*?)```/s.exec(page)?.[1] ?? 'none')).toEqual([])
})
