// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these references are for larder.yaml, not for JavaScript

import { expect, test } from 'vitest'
import { substitute } from '../../../src/config/environment.ts'
import { configOf, faultsOf } from './loading.ts'

const ENV = { HOST: 'box', EMPTY: '', SLY: '${HOST}', LINE: 'a\nb: c' }

test.each([
  ['${HOST}', 'box'],
  ['mqtt://${HOST}:1', 'mqtt://box:1'],
  ['${HOST}${HOST}', 'boxbox'],
  ['${HOST:-x}', 'box'],
  ['${NONE:-x}', 'x'],
  ['${NONE:-}', ''],
  ['${EMPTY:-x}', 'x'],
  ['${EMPTY}', ''],
  ['$${HOST}', '${HOST}'],
  ['$HOST', '$HOST'],
  ['${SLY}', '${HOST}'],
  ['${LINE}', 'a\nb: c'],
  ['${NONE:-a:-b $ c}', 'a:-b $ c'],
])('%s', (text, result) => {
  expect(substitute(text, ENV)).toEqual({ text: result })
})

test.each([
  ['${NONE}', 'the environment variable NONE is not set: set it, or write ${NONE:-default}'],
  ['${HOST', "'${HOST' cannot be read: write ${NAME} or ${NAME:-default}, and $${ for the two characters themselves"],
  ['${1X}', "'${1X}' cannot be read"],
  ['${HOST-x}', "'${HOST-x}' cannot be read"],
  ['${}', "'${}' cannot be read"],
])('%s is a fault', (text, message) => {
  expect(substitute(text, ENV)).toEqual({ fault: expect.stringContaining(message) })
})

test('a variable gives text, a number, a switch or a duration, whatever is wanted', () => {
  const text = `
name: \${NAME}
limits: { max_inflight: "\${COUNT}", connect_timeout: "\${TIME}" }
devices:
  - { name: Lamp, room: Hall, retain: "\${YES}", gpio: { pin: "\${COUNT}", direction: out } }
`
  const config = configOf(text, { NAME: '12345', COUNT: '12', TIME: '3s', YES: 'true' })
  expect(config.name).toBe('12345')
  expect(config.limits).toMatchObject({ maxInflight: 12, connectTimeout: 3000 })
  expect(config.devices[0]).toMatchObject({ retain: true, settings: { pin: 12 } })
})

test('what a variable brings is text, not more YAML', () => {
  expect(configOf('name: ${LINE}', { LINE: 'a b: [c]' }).name).toBe('a b: [c]')
})

test('a value that the environment leaves empty counts as not given', () => {
  expect(configOf('name: ${EMPTY}\ndata_dir: ${NONE:-}', { EMPTY: '' })).toMatchObject({
    name: 'Larder',
    dataDir: '/home/owner/larder-data',
  })
})

test('a variable that is not set is one fault, at the value, and hides no other', () => {
  const text = `
devices:
  - name: \${NONE}
    room: Hall
    gpio: { pin: 99, direction: in }
schedules:
  - { cron: "* * * * *", poll: Lamp }
`
  expect(faultsOf(text)).toEqual([
    '3:11: devices[0].name: the environment variable NONE is not set: set it, or write ${NONE:-default}',
    '5:18: devices[0].gpio.pin: must be between 0 and 53; found 99',
  ])
})

test('a password does not get into a message', () => {
  const text = 'bridges:\n - { name: a, url: "mqtt://x", username: u, password: 8125, out: [{filter: "#"}] }'
  expect(faultsOf(text)).toEqual(['2:55: bridges[0].password: must be text: put it in quotes'])
})

test('variables take the place of what the file says', () => {
  const env = {
    LARDER_NAME: 'Attic',
    LARDER_DATA_DIR: 'store',
    LARDER_LOG_LEVEL: 'debug',
    LARDER_LOG_FORMAT: 'json',
    LARDER_LISTENERS: 'mqtt://0.0.0.0, ws://[::1]:9001/mqtt',
    LARDER_PASSWORD_FILE: 'passwords',
    LARDER_ALLOW_ANONYMOUS: 'true',
  }
  const text = 'name: File\ndata_dir: /var/larder\nlog: { level: error }\nlisteners: [mqtts://never]'
  expect(configOf(text, env)).toMatchObject({
    name: 'Attic',
    dataDir: '/home/owner/store',
    log: { level: 'debug', format: 'json' },
    access: { passwordFile: '/home/owner/passwords', allowAnonymous: true },
    listeners: [
      { protocol: 'mqtt', host: '0.0.0.0', port: 1883 },
      { protocol: 'ws', host: '::1', port: 9001, path: '/mqtt' },
    ],
  })
})

test('a fault in a variable names it, and where in it, behind those of the file', () => {
  const env = { LARDER_LOG_LEVEL: 'chatty', LARDER_LISTENERS: 'mqtt://[::1], http://b', LARDER_NAME: '' }
  expect(faultsOf('nmae: x\nlog:\n', env)).toEqual([
    "1:1: nmae: unknown key; did you mean 'name'?",
    'LARDER_LISTENERS:1:15: listeners[1]: http:// is not known; use mqtt://, mqtts://, ws://, wss:// or unix://',
    "LARDER_LOG_LEVEL:1:1: log.level: must be debug, info, warn or error; found the text 'chatty'",
  ])
})

test('a section that is no map stays a fault of the file', () => {
  expect(faultsOf('log: 5', { LARDER_LOG_LEVEL: 'info' })).toEqual([
    '1:6: log: must be a map of keys, such as level: info; found the number 5',
  ])
})
