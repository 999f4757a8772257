/**
 * The card: one machine that boots from it, as its owner set it up on a laptop. What only a real system shows: that it comes
 * up, that the gateway is reached from outside, that nothing but the data partition is written, and who watches whom.
 *
 * Takes minutes on an emulated processor: only where `scripts/test image` asks for it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BOOT_TIMEOUT, Card, whyNoCard } from '../support/card.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { until } from '../support/wait.ts'

const reason = whyNoCard()
if (reason !== undefined) process.stderr.write(`skipped: tests of the card, because ${reason}\n`)

const SETTINGS = `hostname = pantry
timezone = Europe/Berlin
user = anna
password = a long one
colour = red
`
const ANNA = { username: 'anna', password: 'a long one', patience: 60_000 }
/** Seconds that the gateway may be silent, in the test of its watchdog. */
const WATCHDOG = 20

describe.skipIf(reason !== undefined)('a card with its owner’s settings', { timeout: 2 * BOOT_TIMEOUT }, () => {
  let card: Card
  beforeAll(async () => {
    card = await Card.write(SETTINGS)
    await card.start()
    process.stderr.write(`larder: ready after ${(card.readyAfter / 1000).toFixed(0)} s\n`)
  }, BOOT_TIMEOUT)
  afterAll(() => card?.[Symbol.asyncDispose]())

  test('a client outside is let in with the password of larder.txt, and nobody else', async () => {
    await using client = await RawClient.connect({ port: card.port, ...ANNA })
    await client.publish('hello', 'world', { qos: 1 })
    await expect(RawClient.connect({ port: card.port, patience: ANNA.patience })).rejects.toThrow('refused')
  })

  test('a line of larder.txt that nobody knows is named on the console', () => {
    expect(card.console.join('\n')).toMatch(/larder\.txt:6: there is no setting called colour/)
  })

  test('it has the name and the time zone of larder.txt', async () => {
    expect(await card.succeed('hostname')).toBe('pantry')
    expect(await card.succeed('date +%Z')).toMatch(/^CES?T$/)
    const zone = '/usr/lib/larder-node/node -p "Intl.DateTimeFormat().resolvedOptions().timeZone"'
    expect(await card.succeed(zone)).toBe('Europe/Berlin')
  })

  test('it takes questions for its name from the network', async () => {
    expect(await card.succeed('resolvectl mdns')).toMatch(/Global: yes(.|\n)*Link \d+ \(e\w+\): yes/)
  })

  test('the system is only read; data fill the card', async () => {
    const mounted = await card.succeed('findmnt -rn -o TARGET,FSTYPE,OPTIONS')
    expect(mounted).toMatch(/^\/ ext4 ro,noatime/m)
    expect(mounted).toMatch(/^\/data ext4 rw,noatime,\S*commit=30/m)
    for (const place of ['/var/lib/larder', '/etc/larder', '/var/lib/systemd']) {
      expect(mounted).toMatch(new RegExp(`^${place} ext4 rw`, 'm'))
    }
    for (const place of ['/tmp', '/var/log', '/var/tmp']) expect(mounted).toMatch(new RegExp(`^${place} tmpfs`, 'm'))
    expect(Number(await card.succeed('df --output=size -BM /data | tail -n 1 | tr -dc 0-9'))).toBeGreaterThan(700)
    await expect(card.succeed('touch /usr/x')).rejects.toThrow('Read-only file system')
    await card.succeed('writable touch /usr/x && test -e /usr/x && writable rm /usr/x && ! touch /usr/x 2>/dev/null')
  })

  test('nothing failed, and no log is kept on the card', async () => {
    expect(await card.succeed('systemctl --failed --plain --no-legend')).toBe('')
    expect(await card.succeed('ls /var/log/journal 2>/dev/null; ls /run/log/journal')).toMatch(/^[0-9a-f]{32}$/)
  })

  test('nobody logs in with a password', async () => {
    expect(await card.succeed('sshd -T | grep -E "^(passwordauthentication|kbdinteractive|permitroot)"')).toBe(
      'permitrootlogin without-password\npasswordauthentication no\nkbdinteractiveauthentication no',
    )
    expect(await card.succeed('cut -d: -f2 /etc/shadow | sort -u')).toMatch(/^[!*\n]+$/)
  })

  test('no time server was heard, and the gateway knows', async () => {
    expect(await card.succeed('systemctl is-active systemd-timesyncd; ls /run/systemd/timesync')).toBe('active')
    expect(await card.succeed('larder doctor -c /etc/larder/larder.yaml || true')).toContain(
      'nothing tells that a time server has set the clock',
    )
  })

  test('apt asks where Debian says, not where its maker got it from', async () => {
    const asked = await card.succeed(
      "apt-get indextargets --no-release-info --format '$(RELEASE)' 'Created-By: Packages' | sort -u",
    )
    expect(asked.split('\n')).toEqual(['trixie', 'trixie-security', 'trixie-updates'])
    expect(await card.succeed('ls -A /etc/apt/sources.list* | grep -v :')).toBe('debian.sources')
  })

  test('the drivers of a Pi find all that they need', async () => {
    // Screen, Wi-Fi, cable, pins and buses, serial adapters.
    const drivers = ['vc4', 'brcmfmac', 'smsc95xx', 'lan78xx', 'genet', 'i2c-bcm2835', 'spi-bcm2835', 'w1-gpio']
    const adapters = ['cp210x', 'ftdi_sio', 'ch341', 'pl2303', 'cdc-acm']
    const missing = await card.succeed(
      `for name in ${[...drivers, ...adapters].join(' ')}; do modprobe "$name" || echo "$name"; done`,
    )
    expect(missing).toBe('')
    expect(await card.succeed("journalctl -k --no-pager | grep 'Unknown symbol' || true")).toBe('')
  })

  test('systemd feeds the watchdog of the board', async () => {
    expect(await card.succeed('systemctl show -p RuntimeWatchdogUSec --value')).toBe('14s')
    expect(await card.succeed('cat /sys/class/watchdog/watchdog0/state')).toBe('active')
  })

  test('a gateway whose event loop stands still is started anew', async () => {
    const block = "process.on('SIGUSR2', () => { for (;;); })"
    const lines = [
      '[Service]',
      `WatchdogSec=${WATCHDOG}`,
      'RestartSec=1',
      'Environment=NODE_OPTIONS=--import=/run/block.mjs',
    ]
    const folder = '/run/systemd/system/larder.service.d'
    await card.succeed(`echo "${block}" >/run/block.mjs && mkdir -p ${folder}`)
    await card.succeed(`printf '%s\\n' ${lines.map(line => `'${line}'`).join(' ')} >${folder}/test.conf`)
    await card.succeed('systemctl daemon-reload && systemctl restart larder', { timeout: BOOT_TIMEOUT })
    const pid = await card.succeed('systemctl show larder -p MainPID --value')
    await card.succeed(`kill -USR2 ${pid}`)
    const isBack = async () => {
      const [now, state] = (await card.succeed('systemctl show larder -p MainPID,ActiveState --value')).split('\n')
      return now !== '0' && now !== pid && state === 'active'
    }
    await until(isBack, { timeout: BOOT_TIMEOUT, every: 1_000, what: 'the gateway' })
    expect(await card.succeed('journalctl -u larder --no-pager')).toContain('Watchdog timeout')
    await using client = await RawClient.connect({ port: card.port, ...ANNA })
    await client.publish('hello', 'again', { qos: 1 })
    await card.succeed(`rm ${folder}/test.conf && systemctl daemon-reload`)
  })

  test('systemd says what took how long', async () => {
    const said = await card.succeed('systemd-analyze time --no-pager; systemd-analyze blame --no-pager | head -n 12')
    const score = await card.succeed('systemd-analyze security larder --no-pager | tail -n 1')
    process.stderr.write(`${said}\n${score}\n`)
    expect(said).toContain('Startup finished')
  })

  test('what the owner changes, and the key of the machine, are there after a restart', async () => {
    const key = await card.succeed('cat /data/ssh/ssh_host_ed25519_key.pub')
    await card.succeed('echo "# the owner was here" >>/etc/larder/larder.yaml && sync')
    await card.pull()
    await card.start()
    expect(await card.succeed('cat /data/ssh/ssh_host_ed25519_key.pub')).toBe(key)
    expect(await card.succeed('tail -n 1 /etc/larder/larder.yaml')).toBe('# the owner was here')
  })
})
