/**
 * The Debian package on a Debian 13 with its own systemd: put in, brought up to date, brought up to date with one that does
 * not run, watched, taken out. One machine for all tests, in their order, as an owner's is.
 *
 * Takes minutes and fetches a Debian: only where `scripts/test package` asks for it.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DebianRoot, debianArchive, whyNoDebianRoot, whyNotFetched } from '../support/debian-root.ts'
import { ROOT } from '../support/gateway.ts'
import { until } from '../support/wait.ts'

/** Of the Debian that the package is put into. */
const PACKAGES = ['systemd-sysv', 'udev', 'nodejs', 'dbus', 'init-system-helpers']
const archive = () => debianArchive('debian-trixie-amd64', 'trixie', PACKAGES)
const reason =
  process.env.LARDER_TEST_PACKAGE !== 'all'
    ? 'scripts/test package runs them'
    : (whyNoDebianRoot() ?? (await whyNotFetched(archive)))
if (reason !== undefined) process.stderr.write(`skipped: tests of the Debian package, because ${reason}\n`)

/** Deadline in ms: a Debian is fetched, packages of npm are. */
const PREPARING = 600_000
const CONFIG = '/etc/larder/larder.yaml'
/** Stands in the owner's own configuration. */
const MARK = '# the owner was here'
/** Seconds that a version is on trial for, in these tests. */
const TRIAL = 2

/** Broken programs. Each has nothing against the configuration. */
const CHECKS = "if (process.argv[2] === 'check') process.exit(0)\n"
/** One that ends as soon as it is started. */
const DIES = "process.stderr.write('this version is broken\\n')\nprocess.exit(1)\n"
/** One that says it accepts connections, and dies when systemd has taken that in, which systemd-notify waits for: its trial has begun. */
const DIES_LATER = `const { execFileSync } = require('node:child_process')
execFileSync('systemd-notify', ['--ready'])
process.exit(1)
`
/** One that has given the store another form before it dies. */
const SPOILS = `void (async () => {
const { ClassicLevel } = require('classic-level')
const db = new ClassicLevel('/var/lib/larder/store', { keyEncoding: 'buffer', valueEncoding: 'buffer' })
const keys = await db.keys().all()
const schema = keys.find(key => key.toString().includes('schema'))
await db.batch(keys.map(key => ({ type: 'del', key })))
await db.put(schema, Buffer.from([0, 0, 0, 0, 0, 99]), { sync: true })
await db.close()
process.exit(1)
})()
`

describe.skipIf(reason !== undefined)('the Debian package', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'larder-package-test-'))
  let debian: DebianRoot
  let first: string

  beforeAll(async () => {
    const made = makePackage(copyOfRoot())
    first = made.path
    process.stderr.write(`${made.said}\n`)
    debian = await DebianRoot.unpack(archive())
    await debian.boot()
  }, PREPARING)

  afterAll(async () => {
    await debian?.[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  test('put in, the gateway runs as a service', () => {
    // As scripts/install-on-pi does it from another machine; in the place of ssh is a way into this one.
    const path = join(folder, 'ssh')
    writeFileSync(path, `#!/bin/sh\nexec ${debian.way} /bin/sh -c "$2"\n`, { mode: 0o755 })
    const env = { ...process.env, PATH: `${folder}:${process.env.PATH}` }
    const { status, stderr } = spawnSync('bash', ['scripts/install-on-pi', 'root@larder.local'], {
      cwd: ROOT,
      env,
      encoding: 'utf8',
    })
    expect(status, stderr).toBe(0)
    expect(debian.run('systemctl is-active larder; systemctl is-enabled larder').output).toBe('active\nenabled\n')
    expect(show('StatusText')).toContain('mqtt://127.0.0.1:1883')
    const pid = show('MainPID')
    expect(debian.succeed(`ps -o user= -p ${pid} 2>/dev/null || stat -c %U /proc/${pid}`)).toBe('larder')
    expect(debian.succeed('id -nG larder').split(' ').sort()).toEqual(['dialout', 'gpio', 'larder'])
    expect(debian.succeed(`stat -c '%U:%G %a' ${CONFIG} /var/lib/larder`)).toBe('root:larder 640\nlarder:larder 700')
    debian.succeed('larder pub -t hello -m world -r && larder sub -t hello -C 1 -W 5 | grep -qx world')
    expect(debian.succeed('systemctl show larder -p Environment')).toContain('--max-old-space-size')
    // The next start finds what V8 made of the program in this one. It is written when systemd knows already.
    debian.succeed("timeout 30 sh -c 'until ls /var/lib/larder/cache/larder/*.code; do sleep 0.1; done'")
  })

  test('has no other place to write than its own', () => {
    const pid = show('MainPID')
    const writable = debian.succeed(`awk '$4 ~ /^rw/ {print $2}' /proc/${pid}/mounts`).split('\n')
    const own = /^\/(dev|proc|sys|run|tmp|var\/tmp|var\/lib\/larder|var\/lib\/private)($|\/)/
    expect(writable.filter(place => !own.test(place))).toEqual([])
    expect(writable).toContain('/var/lib/larder')
  })

  test('another version takes its place: messages wait on, the configuration is the owner’s', async () => {
    debian.succeed(`echo '${MARK}' >> ${CONFIG}`)
    leaveSession()
    publish('before')
    const { status, output } = await install('0.1.1')
    expect(status, output).toBe(0)
    expect(inUse()).toMatch(/^0\.1\.1-/)
    expect(debian.succeed('ls /usr/lib/larder/versions').split('\n')).toEqual([inUse()])
    expect(debian.succeed(`tail -n 1 ${CONFIG}`)).toBe(MARK)
    expect(takeAll()).toBe('before')
  })

  test.each([
    ['does not start', DIES],
    ['dies when it has started', DIES_LATER],
    ['has changed the store, and does not start', SPOILS],
  ])('one that %s is taken back', async (_, program) => {
    const before = inUse()
    publish('kept')
    const { status, output } = await install('0.1.2', program)
    expect(status, output).not.toBe(0)
    expect(output).toContain('version 0.1.2 does not run here; 0.1.1 is started again')
    expect(inUse()).toBe(before)
    expect(debian.succeed('ls /usr/lib/larder/versions').split('\n')).toEqual([before])
    expect(debian.run('systemctl is-active larder').output).toBe('active\n')
    expect(takeAll()).toBe('kept')
    // Only then may the store be put back: this version has taken no message.
    const isPutBack = output.includes('it gets them as they were')
    expect(isPutBack).toBe(program === SPOILS)
    // The next attempt is one from the version that runs.
    expect((await install('0.1.1')).status).toBe(0)
  })

  test('one that does not take the configuration is not started, and the one that runs runs on', async () => {
    const pid = show('MainPID')
    debian.succeed(`cp ${CONFIG} /root/good.yaml && echo 'nonsense: yes' >> ${CONFIG}`)
    const { status, output } = await install('0.1.2')
    expect(status, output).not.toBe(0)
    expect(output).toContain('nonsense')
    expect(output).toContain('0.1.1 runs on')
    expect(show('MainPID')).toBe(pid)
    // Started anew, it explains: a machine that nobody sits at says what is wrong.
    debian.succeed('systemctl restart larder')
    expect(show('StatusText')).toContain('the configuration has faults: http://127.0.0.1:8080')
    debian.succeed(`cat /root/good.yaml > ${CONFIG}`)
    const isBack = () => show('StatusText').startsWith('mqtt://')
    await until(isBack, { timeout: 30_000, every: 200, what: () => debian.run('journalctl -u larder -n 20').output })
    expect(debian.run('dpkg --configure larder').status).toBe(0)
    expect(inUse()).toMatch(/^0\.1\.2-/)
    expect((await install('0.1.1')).status).toBe(0)
  })

  test('a newer version that is told of is put in by `larder update`', async () => {
    const packed = packAs('0.1.4')
    const sha256 = execFileSync('sha256sum', [packed]).toString().split(' ')[0]
    const packages = { amd64: { file: '0.1.4.deb', sha256 } }
    writeFileSync(join(debian.folder, 'root/larder.json'), JSON.stringify({ version: '0.1.4', packages }))
    await debian.bring(packed)
    expect(debian.run('larder update --check --from /root/larder.json').status).toBe(3)
    debian.succeed(`LARDER_TRIAL_SECONDS=${TRIAL} larder update --from /root/larder.json`)
    expect(inUse()).toMatch(/^0\.1\.4-/)
    expect(debian.run('systemctl is-active larder').output).toBe('active\n')
  })

  test('a backup of the service is restored with its owner and its rights', () => {
    publish('saved')
    debian.succeed(`larder backup -c ${CONFIG} /root/larder.backup && systemctl stop larder`)
    debian.succeed(`rm -rf /var/lib/larder/store ${CONFIG} && larder restore /root/larder.backup`)
    expect(debian.succeed('stat -c %U /var/lib/larder/store /var/lib/larder/store/CURRENT')).toBe('larder\nlarder')
    expect(debian.succeed(`stat -c '%G %a' ${CONFIG}`)).toBe('larder 640')
    debian.succeed('systemctl start larder')
    expect(takeAll()).toBe('saved')
  })

  test('one that its owner has stopped stays stopped, and is up to date', async () => {
    debian.succeed('systemctl stop larder')
    expect((await install('0.1.3')).status).toBe(0)
    expect(debian.run('systemctl is-active larder').output).toBe('inactive\n')
    expect(inUse()).toMatch(/^0\.1\.3-/)
    debian.succeed('systemctl start larder')
  })

  test('a gateway whose event loop stands still is started anew by the watchdog', async () => {
    debian.succeed('mkdir -p /run/systemd/system/larder.service.d')
    debian.succeed(
      "printf '[Service]\\nWatchdogSec=3\\nRestartSec=1\\n' > /run/systemd/system/larder.service.d/test.conf",
    )
    debian.succeed('systemctl daemon-reload && systemctl restart larder')
    const pid = show('MainPID')
    // It is fed: three periods pass, and it is the same process.
    const fed = show('WatchdogTimestampMonotonic')
    await until(() => Number(show('WatchdogTimestampMonotonic')) > Number(fed) + 9e6, {
      timeout: 30_000,
      what: 'words for the watchdog',
    })
    expect(show('MainPID')).toBe(pid)
    debian.succeed(`kill -STOP ${pid}`)
    const isBack = () => !['0', pid].includes(show('MainPID')) && show('ActiveState') === 'active'
    await until(isBack, { timeout: 60_000, every: 200, what: () => debian.run('journalctl -u larder -n 20').output })
    expect(debian.succeed('journalctl -u larder --no-pager')).toContain('Watchdog timeout')
    debian.succeed('larder sub -t hello -C 1 -W 5 | grep -qx world')
  })

  test('taken out, its data stay; purged, nothing does', () => {
    debian.succeed('dpkg -r larder')
    expect(debian.run('systemctl is-active larder').output).toBe('inactive\n')
    expect(debian.run('ls /usr/lib/larder /usr/bin/larder').status).not.toBe(0)
    debian.succeed(`test -d /var/lib/larder/store && test -f ${CONFIG}`)
    debian.succeed('dpkg -P larder')
    expect(
      debian.succeed("find / -xdev -path /proc -prune -o -name '*larder*' -print | grep -v '^/root/' || true"),
    ).toBe('')
  })

  /** What a package is made from, in a folder of its own: others may be at work on the checkout. */
  function copyOfRoot(): string {
    const to = join(folder, 'checkout')
    mkdirSync(join(to, 'dist'), { recursive: true })
    const whole = [
      'bin',
      'device',
      'docs',
      'examples',
      'scripts',
      'package.json',
      'package-lock.json',
      'README.md',
      'LICENSE',
    ]
    const built = readdirSync(join(ROOT, 'dist')).filter(file => file === 'page' || /\.js$|^package\.json$/.test(file))
    for (const file of [...whole, ...built.map(file => `dist/${file}`)]) {
      cpSync(join(ROOT, file), join(to, file), { recursive: true })
    }
    symlinkSync(join(ROOT, 'node_modules'), join(to, 'node_modules'))
    return to
  }

  function makePackage(checkout: string) {
    const out = join(folder, 'first')
    const epoch = execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: ROOT }).toString().trim()
    const said = execFileSync('node', ['scripts/packaging/main.mjs', '--out', out, 'amd64'], {
      cwd: checkout,
      encoding: 'utf8',
      env: { ...process.env, SOURCE_DATE_EPOCH: epoch },
    })
    return { path: join(out, said.split(/\s+/)[1]!), said: said.trim() }
  }

  /** Puts in the package as version `version`, with another program if one is given. */
  async function install(version: string, program?: string) {
    const path = await debian.bring(packAs(version, program))
    return debian.run(`LARDER_TRIAL_SECONDS=${TRIAL} dpkg --force-confold -i ${path}`)
  }

  function packAs(version: string, program?: string): string {
    const tree = mkdtempSync(join(folder, 'tree-'))
    execFileSync('dpkg-deb', ['-R', first, tree])
    for (const name of ['control', 'postinst']) {
      const path = join(tree, 'DEBIAN', name)
      writeFileSync(path, readFileSync(path, 'utf8').replaceAll(/\b0\.1\.0\b/g, version))
    }
    if (program !== undefined) writeFileSync(join(tree, 'usr/lib/larder/package/dist/larder.js'), `${CHECKS}${program}`)
    const packed = join(folder, `${version}.deb`)
    execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '-b', tree, packed])
    rmSync(tree, { recursive: true })
    return packed
  }

  function show(property: string): string {
    return debian.succeed(`systemctl show larder --value -p ${property}`)
  }

  function inUse(): string {
    return debian.succeed('readlink /usr/lib/larder/current').replace('versions/', '')
  }

  /** A session that waits for messages while its client is away. */
  function leaveSession(): void {
    debian.succeed('larder sub -i away -c -q 1 -t queue -E')
  }

  function publish(message: string): void {
    debian.succeed(`larder pub -q 1 -t queue -m ${message}`)
  }

  function takeAll(): string {
    return debian.succeed('larder sub -i away -c -q 1 -t queue -C 1 -W 5')
  }
})
