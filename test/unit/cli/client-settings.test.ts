import { expect, test } from 'vitest'
import { readSettings } from '../../../src/cli/mqtt/settings.ts'
import { ClientFault } from '../../../src/cli/mqtt/texts.ts'

const PID = 4711

function read(program: 'pub' | 'sub', ...words: string[]) {
  const settings = readSettings(program, words, PID)
  if (typeof settings === 'string') throw new Error(settings)
  return settings
}

/** The complaint, without the hint behind it. */
function fault(program: 'pub' | 'sub', ...words: string[]): string {
  try {
    readSettings(program, words, PID)
  } catch (error) {
    if (error instanceof ClientFault) return error.message.trim().split('\n')[0] ?? ''
    throw error
  }
  throw new Error('no complaint')
}

test('what is not given', () => {
  expect(read('sub', '-t', 'a')).toMatchObject({
    host: 'localhost',
    port: undefined,
    version: 4,
    clean: true,
    keepalive: 60,
    qos: 0,
    topics: ['a'],
    clientId: undefined,
    endOfLine: true,
  })
})

test('a value may look like a flag, and the last of a flag counts', () => {
  expect(read('pub', '-t', 'a', '-t', 'b', '-m', '-n', '-q', '1', '--qos', '2')).toMatchObject({
    topics: ['b'],
    payload: { is: 'text', text: '-n' },
    qos: 2,
  })
})

test('a subscriber gathers its filters', () => {
  const settings = read('sub', '-t', 'a/#', '-t', '$share/g/b', '-T', 'a/+', '-U', 'c', '-U', 'd')
  expect(settings.topics).toEqual(['a/#', '$share/g/b'])
  expect(settings.filterOut).toEqual(['a/+'])
  expect(settings.unsubscribe).toEqual(['c', 'd'])
})

test.each([
  ['mqtt://h/a/b', { host: 'h', port: 1883, username: undefined, topics: ['a/b'] }],
  ['mqtts://u:p:w@h:99/%41', { host: 'h', port: 99, username: 'u', password: 'p:w', topics: ['%41'] }],
  ['MQTT://u@[::1]:7/a', { host: '::1', port: 7, username: 'u', topics: ['a'] }],
])('the URL %s', (url, expected) => {
  const settings = read('sub', '-L', url)
  expect(settings).toMatchObject(expected)
  expect(settings.tls.useSystemCertificates).toBe(url.startsWith('mqtts'))
})

test('properties make it MQTT 5 and go to their packets', () => {
  const settings = read(
    ...(['pub', '-t', 'a', '-n', '-x', '60'] as const),
    ...['-D', 'publish', 'user-property', 'k', 'v', '-D', 'PUBLISH', 'user-property', 'k', 'w'],
    ...['-D', 'publish', 'topic-alias', '3', '-D', 'will', 'will-delay-interval', '9'],
    ...['-D', 'publish', 'correlation-data', 'é', '-D', 'subscribe', 'subscription-identifier', '7'],
  )
  expect(settings.version).toBe(5)
  expect(settings.properties).toEqual({
    connect: { sessionExpiryInterval: 60 },
    publish: {
      userProperties: [
        ['k', 'v'],
        ['k', 'w'],
      ],
      topicAlias: 3,
      correlationData: Buffer.from('é'),
    },
    subscribe: { subscriptionIdentifiers: [7] },
    unsubscribe: {},
    disconnect: {},
    will: { willDelayInterval: 9 },
  })
})

test('a prefix gets the process number, a will its parts, a session without an end its expiry', () => {
  expect(read('sub', '-t', 'a', '-I', 'pre-').clientId).toBe('pre-4711')
  expect(
    read('sub', '-t', 'a', '--will-topic', 'w', '--will-payload', 'x', '--will-qos', '1', '--will-retain').will,
  ).toEqual({ topic: 'w', payload: Buffer.from('x'), qos: 1, retain: true })
  expect(read('sub', '-t', 'a', '-V', '5', '-c', '-i', 'x').properties.connect).toEqual({
    sessionExpiryInterval: 0xffff_ffff,
  })
})

test.each([
  ['sub', '-t a -C 0', 'Error: Invalid message count "0".'],
  ['sub', '-t a -r', "Error: Unknown option '-r'."],
  ['pub', '-t a -v', "Error: Unknown option '-v'."],
  ['sub', '-t a -k 4', 'Error: Invalid keepalive given, it must be between 5 and 65535 inclusive.'],
  ['sub', '-t a -p 65536', 'Error: Invalid port given: 65536'],
  ['sub', '-t a -i x -I y', 'Error: -i and -I argument cannot be used together.'],
  ['sub', '-t a --host', 'Error: -h argument given but no host specified.'],
  ['sub', '-t a -c', 'Error: You must provide a client id if you are using the -c option.'],
  ['sub', '-t a -P x', 'Error: Problem setting username and/or password.'],
  ['sub', '-t a -L mqtt://h', 'Error: Invalid URL for -L argument specified - topic missing.'],
  ['sub', '-t a --psk 12', 'Error: --psk-identity required if --psk used.'],
  ['sub', '-t a -D publish topic-alias 70000', 'Error: Property value (70000) out of range for property topic-alias.'],
  ['sub', '-t a -D publish', 'Error: --property argument given but not enough arguments specified.'],
  ['sub', '-t a/#/b', "Error: Invalid subscription topic 'a/#/b', are all '+' and '#' wildcards correct?"],
  ['pub', '-t a/# -n', "Error: Invalid publish topic 'a/#', does it contain '+' or '#'?"],
  ['pub', '-t a -n -s', 'Error: Only one type of message can be sent at once.'],
] as const)('larder %s %s is refused', (program, args, expected) => {
  expect(fault(program, ...args.split(' '))).toBe(expected)
})
