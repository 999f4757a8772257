/**
 * The files that put Larder onto a machine are read by programs that are not here (balena's builder, Docker,
 * systemd on the Pi), so these tests hold them to those programs' rules and to each other.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { loadConfig } from '../../src/config/load.ts'
import { cronFault } from '../../src/devices/cron.ts'
import { needs } from '../support/needs.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const ROOTFS = 'device/rootfs'
const UNIT = '/usr/lib/systemd/system/larder.service'
/** What systemd-analyze may give the service, of 10. */
const MAX_EXPOSURE = 2.5
const SAMPLE = '/etc/larder/larder.yaml'

const text = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const pkg = JSON.parse(text('package.json')) as { version: string; license: string; engines: { node: string } }

/** The values of a key in a systemd unit. */
function unit(key: string): string[] {
  const lines = text(ROOTFS + UNIT).split('\n')
  return lines.flatMap(line => (line.startsWith(`${key}=`) ? [line.slice(key.length + 1)] : []))
}

/** Paths under device/rootfs/, as they will be on the machine. */
function rootfsFiles(): string[] {
  const entries = readdirSync(join(ROOT, ROOTFS), { recursive: true, withFileTypes: true })
  return entries
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(join(ROOT, ROOTFS).length))
}

describe('balena.yml', () => {
  const contract = parse(text('balena.yml'))

  test('has the fields of an application block', () => {
    expect(contract).toMatchObject({ name: 'Larder', type: 'sw.application', version: pkg.version })
    expect(contract.version).toMatch(/^\d+\.\d+\.\d+$/)
    expect(contract.description).toEqual(expect.any(String))
    expect(contract['post-provisioning']).toEqual(expect.any(String))
    const known = ['name', 'type', 'version', 'description', 'post-provisioning', 'assets', 'data']
    expect(Object.keys(contract).filter(key => !known.includes(key))).toEqual([])
  })

  test('assets, where there are any, are blobs with a URL', () => {
    for (const asset of Object.values(contract.assets ?? {})) {
      expect(asset).toEqual({ type: 'blob.asset', data: { url: expect.stringMatching(/^https:/) } })
    }
  })

  test('supports each 64-bit Pi since the 3, and its default is one of them', () => {
    const { supportedDeviceTypes, defaultDeviceType } = contract.data
    expect(supportedDeviceTypes).toEqual(
      expect.arrayContaining(['raspberrypi0-2w-64', 'raspberrypi3-64', 'raspberrypi4-64', 'raspberrypi5']),
    )
    expect(supportedDeviceTypes).toContain(defaultDeviceType)
  })

  test('its variables are a list of single pairs', () => {
    for (const variable of contract.data.applicationEnvironmentVariables) {
      const [[name, value], ...more] = Object.entries(variable) as [[string, unknown], ...unknown[]]
      expect(more).toEqual([])
      expect(name).toMatch(/^LARDER_[A-Z_]+$/)
      expect(value).toEqual(expect.any(String))
    }
  })
})

describe('docker-compose.yml', () => {
  const compose = parse(text('docker-compose.yml'))

  test('is version 2.4', () => {
    expect(compose.version).toBe('2.4')
  })

  test('has named volumes only, each declared', () => {
    for (const [name, service] of Object.entries<{ volumes?: unknown[] }>(compose.services)) {
      for (const volume of service.volumes ?? []) {
        expect(volume, name).toMatch(/^[a-z][a-z0-9_-]*:\/[^:]+$/)
        expect(Object.keys(compose.volumes)).toContain(String(volume).split(':')[0])
      }
    }
  })

  test('keeps the folder that the image says is to be kept, and opens the port that it listens on', () => {
    const dockerfile = text('Dockerfile')
    const [, target] = compose.services.gateway.volumes[0].split(':')
    expect(dockerfile).toMatch(new RegExp(`^VOLUME ${target}$`, 'm'))
    expect(dockerfile).toMatch(new RegExp(`\\bLARDER_DATA_DIR=${target}\\b`))
    const inside = compose.services.gateway.ports[0].split(':')[1]
    expect(dockerfile).toMatch(new RegExp(`^EXPOSE ${inside}$`, 'm'))
    expect(dockerfile).toContain(`LARDER_LISTENERS=mqtt://0.0.0.0:${inside}`)
  })
})

describe('the container’s environment', () => {
  const variables = Object.fromEntries(
    [...text('Dockerfile').matchAll(/\b(LARDER_[A-Z_]+)=(\S+?)(?= |$)/gm)].map(([, name, value]) => [name, value]),
  ) as Record<string, string>
  const compose = parse(text('docker-compose.yml')).services.gateway.environment as Record<string, string>
  const load = (env: Record<string, string>) => loadConfig({ env, cwd: '/data', checks: { cron: () => undefined } })

  test('with that of docker-compose.yml, everybody who reaches the port may come in', () => {
    const loaded = load({ LARDER_DATA_DIR: '/data', LARDER_LISTENERS: 'mqtt://0.0.0.0:1883', ...compose })
    expect(loaded).toMatchObject({
      config: { dataDir: '/data', listeners: [{ host: '0.0.0.0', port: 1883, access: { allowAnonymous: true } }] },
    })
  })

  test('by itself it says what is to be added', () => {
    const listeners = variables.LARDER_LISTENERS ?? ''
    const loaded = load({ LARDER_LISTENERS: listeners })
    expect(listeners).toBe('mqtt://0.0.0.0:1883')
    expect('faults' in loaded && loaded.faults.map(({ message }) => message).join()).toMatch(
      /password_file|allow_anonymous/,
    )
  })

  test('with passwords, as the notes of balena.yml say', () => {
    const withPasswords = { LARDER_PASSWORD_FILE: '/data/passwords', LARDER_ALLOW_ANONYMOUS: 'false' }
    const loaded = load({ LARDER_LISTENERS: 'mqtt://0.0.0.0:1883', ...compose, ...withPasswords })
    expect(loaded).toMatchObject({
      config: { listeners: [{ access: { passwordFile: '/data/passwords', allowAnonymous: false } }] },
    })
    for (const [name, value] of Object.entries(withPasswords))
      expect(text('balena.yml')).toContain(`\`${name}\` to \`${value}\``)
  })
})

describe('Dockerfile', () => {
  const dockerfile = text('Dockerfile')

  test('is Debian, for the binaries that are built for glibc', () => {
    expect(dockerfile.match(/^FROM (?!base\b)\S+/gm)).toEqual([
      expect.stringMatching(/^FROM node:\$\{NODE\}-trixie-slim$/),
    ])
  })

  test('starts the gateway as nobody in particular', () => {
    const start = text('device/container/larder-start')
    expect(dockerfile).toMatch(/^ENTRYPOINT \["larder-start"\]$/m)
    expect(start).toMatch(/exec setpriv --reuid=larder .*--no-new-privs .*--bounding-set=-all/)
    for (const name of ['larder-start', 'larder-healthy']) {
      expect(statSync(join(ROOT, 'device/container', name)).mode & 0o111).toBe(0o111)
    }
  })

  test('everything it copies is let through by .dockerignore', () => {
    const allowed = text('.dockerignore')
      .split('\n')
      .flatMap(line => (line.startsWith('!') ? [line.slice(1)] : []))
    const [, first] = /^COPY (?!--from)(.+) \.\/$/m.exec(dockerfile)!
    for (const path of [...first!.split(' '), 'bin', 'src', 'device', 'scripts', 'LICENSE'])
      expect(allowed).toContain(path)
    for (const path of allowed) expect(existsSync(join(ROOT, path)), path).toBe(true)
  })
})

describe('the service', () => {
  const [program, ...args] = unit('ExecStart')[0]!.split(' ')

  test('starts the program where the package puts it', () => {
    expect(program).toBe('/usr/bin/larder')
    expect(existsSync(join(ROOT, 'bin/larder'))).toBe(true)
  })

  test('reads the configuration that the rootfs brings', () => {
    expect(args).toEqual(['start', '-c', SAMPLE, '--explain'])
    expect(rootfsFiles()).toContain(SAMPLE)
  })

  test('may write where the sample configuration keeps the data', () => {
    const { data_dir } = parse(text(ROOTFS + SAMPLE))
    expect(data_dir).toBe(`/var/lib/${unit('StateDirectory')[0]}`)
  })

  test('the sample configuration is valid, also with its examples switched on', () => {
    const folder = mkdtempSync(join(tmpdir(), 'larder-sample-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const sample = text(ROOTFS + SAMPLE)
    const examples = sample.replaceAll(/^# (?=- | {2}|bridges:)/gm, '')
    expect(examples.length).toBeLessThan(sample.length)
    for (const [name, content] of Object.entries({ sample, examples })) {
      const file = join(folder, `${name}.yaml`)
      writeFileSync(file, content)
      const result = loadConfig({ file, env: {}, cwd: folder, checks: { cron: cronFault } })
      expect(result, name).not.toHaveProperty('faults')
    }
  })

  test('runs as the user that sysusers makes, in the groups of ports and pins', () => {
    const [user] = unit('User')
    const sysusers = text(`${ROOTFS}/usr/lib/sysusers.d/larder.conf`)
    expect(sysusers).toMatch(new RegExp(`^u ${user} `, 'm'))
    for (const group of ['dialout', 'gpio']) {
      expect(sysusers).toMatch(new RegExp(`^g ${group} `, 'm'))
      expect(sysusers).toMatch(new RegExp(`^m ${user} ${group}$`, 'm'))
    }
  })

  test('is not cut off from serial ports and pins', () => {
    for (const key of ['PrivateDevices', 'ProtectKernelTunables', 'DeviceAllow', 'ProtectClock']) {
      expect(unit(key), key).toEqual([])
    }
    expect(unit('MemoryDenyWriteExecute')).toEqual([])
  })

  test.skipIf(!needs('systemd-analyze'))('is understood by systemd', () => {
    const path = join(ROOT, ROOTFS + UNIT)
    const { stderr } = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' })
    // The program is not installed on the machine that tests.
    const complaints = stderr.split('\n').filter(line => line !== '' && !line.includes(`${program} is not executable`))
    expect(complaints).toEqual([])
  })

  test.skipIf(!needs('systemd-analyze'))('is exposed less than most: systemd-analyze security', () => {
    const path = join(ROOT, ROOTFS + UNIT)
    const args = ['security', '--offline=true', '--no-pager', path]
    const { stdout } = spawnSync('systemd-analyze', args, { encoding: 'utf8' })
    const [, exposure] = /Overall exposure level for larder\.service: ([\d.]+)/.exec(stdout) ?? []
    process.stderr.write(`systemd-analyze security: ${exposure}\n`)
    // Of 10; what is left is the network, the devices, and that systemd-notify may speak for it.
    expect(Number(exposure)).toBeLessThanOrEqual(MAX_EXPOSURE)
  })
})

describe('scripts/install-on-pi', () => {
  test('makes the package for the machine, and gives it to apt', () => {
    const env = { ...process.env, PATH: `${standIns({ apt: '20.20.2' })}:${process.env.PATH}` }
    const plan = execFileSync('bash', ['scripts/install-on-pi', '--dry-run'], { cwd: ROOT, encoding: 'utf8', env })
    expect(plan.split('\n')).toEqual([
      'scripts/package arm64',
      expect.stringMatching(/apt-get install .*--force-confold \.\/dist\/packages\/larder_[\d.]+_arm64\.deb$/),
      '',
    ])
  })

  test('brings Node.js along where there is only an older one', () => {
    const env = { ...process.env, PATH: `${standIns({ apt: '18.19.0+dfsg-6~deb12u2' })}:${process.env.PATH}` }
    const args = ['scripts/install-on-pi', '--dry-run', 'pi@larder.local']
    const plan = execFileSync('bash', args, { cwd: ROOT, encoding: 'utf8', env })
    expect(plan).toContain('scripts/package --with-node arm64')
    expect(plan).toMatch(/^ssh pi@larder\.local .*\/larder_\S+_arm64\.deb \S+\/larder-node_\S+_arm64\.deb$/m)
  })

  /** A folder with programs that answer as a Pi's would. */
  function standIns({ apt }: { apt: string }): string {
    const folder = mkdtempSync(join(tmpdir(), 'larder-pi-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const programs = {
      ssh: 'shift; exec sh -c "$1"',
      'apt-cache': `echo "  Candidate: ${apt}"`,
      dpkg: '[ "$1" = --print-architecture ] && echo arm64 || exec /usr/bin/dpkg "$@"',
    }
    for (const [name, lines] of Object.entries(programs)) {
      writeFileSync(join(folder, name), `#!/bin/sh\n${lines}\n`, { mode: 0o755 })
    }
    return folder
  }
})

describe('bin/larder', () => {
  test('says in one sentence what to do when it is not built', () => {
    const folder = mkdtempSync(join(tmpdir(), 'larder-bin-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    mkdirSync(join(folder, 'bin'))
    copyFileSync(join(ROOT, 'bin/larder'), join(folder, 'bin/larder'))
    const { status, stdout, stderr } = spawnSync(join(folder, 'bin/larder'), ['start'], { encoding: 'utf8' })
    expect({ status, stdout, stderr }).toEqual({
      status: 1,
      stdout: '',
      stderr: `larder: it is not built yet; run \`npm run build\` in the folder ${folder}\n`,
    })
  })
})

test('the Node.js version that the scripts check is the one in package.json', () => {
  const [, needed] = /^needed_node=(.+)$/m.exec(text('scripts/prepare.sh'))!
  expect(pkg.engines.node).toBe(`>=${needed}`)
})

test('the license is the one in package.json', () => {
  expect(text('LICENSE')).toMatch(
    new RegExp(`^${pkg.license} License\n\nCopyright \\(c\\) \\d{4} The Larder authors$`, 'm'),
  )
})

describe('docs/install.md', () => {
  const rows = [...text('docs/install.md').matchAll(/^\| `(LARDER_[A-Z_]+)` \| `([a-z_.]+)` \|(.*)\|(.*)\|$/gm)]
  const image = [...text('Dockerfile').matchAll(/^(?:ENV)? .*?\b(LARDER_[A-Z_]+)=(\S+)/gm)].map(([, name, value]) => [
    name,
    value,
  ])

  test('names every variable that takes the place of a key, and no other', () => {
    const known = [...text('src/config/overrides.ts').matchAll(/'(LARDER_[A-Z_]+)'/g)].map(([, name]) => name)
    expect(known.length).toBeGreaterThan(8)
    expect(rows.map(([, name]) => name).sort()).toEqual(known.sort())
  })

  test('says what the image sets', () => {
    const said = rows.flatMap(([, name, , value]) => (/^ `[^`]+` $/.test(value!) ? [[name, value!.slice(2, -2)]] : []))
    expect(said.sort()).toEqual(image.sort())
  })

  test('each variable counts, with the value that is shown for it', () => {
    const values = Object.fromEntries(
      rows.flatMap(([, name, , set, shown]) => {
        const [, value] = /`([^`]+)`/.exec(shown!) ?? /`([^`]+)`/.exec(set!) ?? []
        return value === undefined ? [] : [[name, value]]
      }),
    )
    expect(Object.keys(values)).toHaveLength(rows.length)
    const loaded = loadConfig({ env: values, cwd: '/data', checks: { cron: () => undefined } })
    expect(loaded).toMatchObject({
      config: {
        name: 'Pantry',
        dataDir: '/data',
        listeners: [
          { port: 1883, access: { allowAnonymous: true, passwordFile: '/data/passwords', aclFile: '/data/acl' } },
        ],
        dashboard: { listen: { host: '0.0.0.0', port: 8080 }, users: '/data/passwords' },
        metrics: { listen: { host: '127.0.0.1', port: 9883 } },
        log: { level: 'debug', format: 'json' },
      },
    })
  })
})
