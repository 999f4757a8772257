import { expect, test } from 'vitest'
import { HIDDEN, withoutSecrets } from '../../../src/config/secrets.ts'

const TEXT = `# the old one was password: geheim-1
access: { password_file: passwords }   # not a secret
bridges:
  - name: cloud
    url: mqtts://cloud.example
    username: me
    password: "geheim-2" # password: geheim-3
    proxy: http://me:geheim-4@proxy:3128
    tls: { psk_identity: me, psk_key: "aa-geheim-5", key: priv.pem }
  - { name: b, password: geheim-6, url: mqtt://b }
  - name: c
    password: |
      geheim-7
      geheim-8
    username: me
  - password: >-
      geheim-9
  - password: \${CLOUD_PASSWORD}
  - password: "\${CLOUD_PASSWORD}"
  - password: \${CLOUD_PASSWORD:-geheim-10}
  - "password": 'geheim-11'
  - password: &same geheim-12
store: { url: redis://:geheim-13@redis:6379 }
metrics: { bearer_token: geheim-14 }
`

test('every secret is hidden, and everything else is as it was', () => {
  const shown = withoutSecrets(TEXT)
  expect(shown).not.toMatch(/geheim/)
  expect(shown.match(new RegExp(HIDDEN, 'g'))).toHaveLength(13)
  for (const kept of [
    'password_file: passwords }   # not a secret',
    'key: priv.pem',
    `password: \${CLOUD_PASSWORD}\n`,
    `password: "\${CLOUD_PASSWORD}"`,
    `http://me:${HIDDEN}@proxy:3128`,
    'psk_identity: me',
  ]) {
    expect(shown).toContain(kept)
  }
  expect(shown.split('\n').length).toBeGreaterThan(TEXT.split('\n').length - 4)
})

test('a text that is no YAML is treated line by line', () => {
  const broken = `bridges: [\n${TEXT.replaceAll('- {', '- [{')}\n`
  const shown = withoutSecrets(broken)
  expect(shown).not.toMatch(/geheim/)
  expect(shown).toContain('url: mqtts://cloud.example')
  expect(shown).toContain('username: me')
})

test.each([
  'a: [\n  password:\n    geheim-1\n  name: kept\n',
  'a: [\n  password:\n\n    geheim-1\n  name: kept\n',
  'a: [\n  password: "geh\ngeheim-1\n  geheim-2"\n  name: kept\n',
  "a: [\n  'password': 'geh\ngeheim-1'\n  name: kept\n",
  'a: [\n  password: "geh\\" geheim-1\ngeheim-2"\n  name: kept\n',
])('nor is a secret shown that goes on in the next line: %j', text => {
  const shown = withoutSecrets(text)
  expect(shown).not.toMatch(/geheim/)
  expect(shown).toContain('name: kept')
})

test.each(['', '# nothing\n', '\u0000', '- a\n- b\n', 'password:\nname: x\n'])('%j stays', text => {
  expect(withoutSecrets(text)).toBe(text)
})
