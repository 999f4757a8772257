/** What the card makes of its larder.txt, and that a wrong line stops nobody. Debian's shell, no machine. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ROOT } from '../support/gateway.ts'

const CARD = join(ROOT, 'device/image/root/usr/lib/larder-card')
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0 anna@laptop'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'larder-settings-'))
  mkdirSync(join(folder, 'zones/Europe'), { recursive: true })
  for (const zone of ['UTC', 'Europe/Berlin']) writeFileSync(join(folder, 'zones', zone), '')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What is said of a larder.txt, and what is laid out. */
function settle(text: string | undefined) {
  const [file, to] = [join(folder, 'larder.txt'), join(folder, 'run')]
  rmSync(file, { force: true })
  if (text !== undefined) writeFileSync(file, text)
  const env = { PATH: process.env.PATH, ZONEINFO: join(folder, 'zones'), HOSTNAME_FILE: join(folder, 'hostname') }
  const said = execFileSync('sh', [join(CARD, 'settings'), file, to], { env, encoding: 'utf8' })
  const read = (name: string) => (existsSync(join(to, name)) ? readFileSync(join(to, name), 'utf8') : undefined)
  return {
    said: said.split('\n').filter(Boolean),
    hostname: readFileSync(join(folder, 'hostname'), 'utf8').trim(),
    zone: readlinkSync(join(to, 'localtime')).slice(join(folder, 'zones/').length),
    wifi: read('wpa_supplicant.conf'),
    keys: read('authorized_keys'),
    user: read('user'),
  }
}

const NOTHING = { hostname: 'larder', zone: 'UTC', wifi: undefined, keys: undefined, user: undefined }

test('the file as it comes on the card sets nothing', () => {
  const shipped = readFileSync(join(ROOT, 'device/image/boot/larder.txt'), 'utf8')
  expect(settle(shipped)).toEqual({ said: [], ...NOTHING })
})

test('every line of the file as it comes is a setting once its mark is gone', () => {
  const shipped = readFileSync(join(ROOT, 'device/image/boot/larder.txt'), 'utf8')
  const { said, hostname, zone, wifi, keys, user } = settle(shipped.replaceAll(/^#(?=[a-z_]+ = )/gm, ''))
  expect(said).toEqual([])
  expect({ hostname, zone, user }).toEqual({ hostname: 'larder', zone: 'Europe/Berlin', user: 'anna\na long one\n' })
  expect(keys).toMatch(/^ssh-ed25519 AAAA/)
  expect(wifi).toContain('country=DE')
})

test('no file is no fault', () => {
  expect(settle(undefined)).toEqual({ said: [expect.stringContaining('not there')], ...NOTHING })
})

test('what Windows makes of a text file is read', () => {
  expect(settle('\ufeffhostname = pantry\r\nuser=anna\r\npassword =  p = \\ "q" # \r\n')).toMatchObject({
    said: [],
    hostname: 'pantry',
    user: 'anna\np = \\ "q" #\n',
  })
})

test('several keys, and a last line without an end', () => {
  expect(settle(`ssh_key = ${KEY}\nssh_key=${KEY}2`).keys).toBe(`${KEY}\n${KEY}2\n`)
})

test('a network with any name and any password', () => {
  const { said, wifi } = settle('wifi_country = de\nwifi_ssid = Zu "Hause" €\nwifi_password = a"b\\c #1=2\n')
  expect(said).toEqual([])
  const ssid = Buffer.from('Zu "Hause" €').toString('hex')
  expect(wifi).toBe(
    `country=DE\nnetwork={\n  ssid=${ssid}\n  scan_ssid=1\n  psk="a"b\\c #1=2"\n  key_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n  ieee80211w=1\n}\n`,
  )
})

test('a network without a password, and one with the key itself', () => {
  expect(settle('wifi_country=DE\nwifi_ssid=open').wifi).toContain('key_mgmt=NONE')
  expect(settle(`wifi_country=DE\nwifi_ssid=x\nwifi_password=${'0f'.repeat(32)}`).wifi).toContain(
    `  psk=${'0f'.repeat(32)}\n`,
  )
})

test('a password that is refused makes no open network', () => {
  expect(settle('wifi_country = DE\nwifi_ssid = home\nwifi_password = short').wifi).toBeUndefined()
})

test.each([
  ['hostname = my larder', 'larder.txt:2: hostname: letters, digits and - only, 63 at most: my larder'],
  [`hostname = ${'a'.repeat(64)}`, /^larder.txt:2: hostname: /],
  ['hostname = -x', /^larder.txt:2: hostname: /],
  ['timezone = Europe/Berlln', 'larder.txt:2: timezone: there is none called Europe/Berlln'],
  ['timezone = ../../etc/passwd', /^larder.txt:2: timezone: /],
  ['timezone = Europe', /^larder.txt:2: timezone: /],
  ['wifi_country = Germany', /^larder.txt:2: wifi_country: /],
  [`wifi_ssid = ${'a'.repeat(33)}`, 'larder.txt:2: wifi_ssid: 32 bytes at most'],
  ['wifi_password = short', 'larder.txt:2: wifi_password: 8 to 63 characters'],
  ['wifi_password = schlüsselwort', /^larder.txt:2: wifi_password: /],
  [`wifi_password = ${'x'.repeat(64)}`, /^larder.txt:2: wifi_password: /],
  ['ssh_key = anna', /^larder.txt:2: ssh_key: /],
  ['user = a:b', 'larder.txt:2: user: a name has no colon'],
  ['hostnam = pantry', 'larder.txt:2: there is no setting called hostnam'],
  ['pantry', 'larder.txt:2: not a setting; they are written name = value: pantry'],
  ['hostname =', 'larder.txt:2: hostname: nothing stands behind the ='],
  ['user = anna', 'larder.txt:end: user and password only count together'],
  ['wifi_password = long enough', 'larder.txt:end: wifi_password without wifi_ssid'],
])('%s is named, and left out', (line, complaint) => {
  const { said, ...settings } = settle(`# mine\n${line}\ntimezone = UTC\n`)
  expect(said).toEqual([typeof complaint === 'string' ? complaint : expect.stringMatching(complaint)])
  expect(settings).toEqual(NOTHING)
})

test('what it writes is for root alone', () => {
  settle('user = anna\npassword = secret\n')
  expect(execFileSync('stat', ['-c', '%a', join(folder, 'run/user')], { encoding: 'utf8' })).toBe('600\n')
})
