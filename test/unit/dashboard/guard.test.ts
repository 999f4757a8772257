import { expect, test } from 'vitest'
import { isFromPage, isKnownHost } from '../../../src/dashboard/guard.ts'

test.each([
  [undefined, true],
  ['localhost', true],
  ['LOCALHOST:8080', true],
  ['larder.localhost', true],
  ['raspberrypi.local.', true],
  ['pi.lan', true],
  ['pi.home.arpa:80', true],
  ['10.0.0.7:8080', true],
  ['[::1]:8080', true],
  ['[fe80::1]', true],
  ['mine.example', true],
  ['example', false],
  ['local.example', false],
  ['xlocal', false],
  ['127.0.0.1.example', false],
  ['127.0.0.1@example', false],
  ['::1', false],
  ['a b', false],
  ['', false],
])('host %j: %s', (host, isKnown) => {
  expect(isKnownHost(host, ['Mine.example'])).toBe(isKnown)
})

test.each([
  [{}, true],
  [{ host: 'a:1', origin: 'http://a:1' }, true],
  [{ host: 'a', origin: 'https://a' }, true],
  [{ host: 'a:443', origin: 'https://a' }, true],
  [{ host: 'a:1', origin: 'http://a:2' }, false],
  [{ host: 'a', origin: 'http://b' }, false],
  [{ host: 'a', origin: 'null' }, false],
  [{ origin: 'http://a' }, false],
  [{ host: 'a', origin: 'http://a', 'sec-fetch-site': 'same-site' }, false],
  [{ host: 'a', 'sec-fetch-site': 'cross-site' }, false],
  [{ host: 'a', 'sec-fetch-site': 'none' }, true],
])('%j: %s', (headers, isFrom) => {
  expect(isFromPage({ headers })).toBe(isFrom)
})
