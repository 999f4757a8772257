/**
 * The system on the card: Debian's archive, the kernel's modules and the firmware, Larder's packages as dpkg puts them in, and
 * the files of device/image/root. What lasts is moved to a tree of its own, that of the data partition. What a build leaves
 * behind by chance is taken away: names that were drawn, caches, times.
 */
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { run } from '../packaging/run.mjs'
import { filesIn } from '../packaging/tree.mjs'
import { SOURCES, UNPACKED_LIST } from './debian.mjs'
import { inNamespace } from './namespace.mjs'

/** What is left behind by a build, and is made anew or missed by nobody. */
const LEFTOVERS = [
  'var/cache/apt',
  'var/cache/ldconfig',
  'var/cache/debconf/*-old',
  'var/lib/dpkg/*-old',
  'var/lib/apt/lists',
]
const SECRETS = [
  'etc/ssh/ssh_host_*',
  'etc/passwd-',
  'etc/group-',
  'etc/shadow-',
  'etc/gshadow-',
  'etc/subuid-',
  'etc/subgid-',
]
const EMPTIED = ['var/log', 'var/tmp', 'tmp', 'run', 'var/lib/larder', 'var/lib/systemd']
/** What writes to the system by the clock, and what wants a bus that is not there. */
const DISABLED =
  'apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service wpa_supplicant.service'
/** Nobody can log in where there is no password; keys and identities are not written to a system that is only read. */
const MASKED = [
  ...['getty@.service', 'serial-getty@.service', 'sshd-keygen.service', 'systemd-machine-id-commit.service'].map(
    name => `system/${name}`,
  ),
  'system-generators/systemd-ssh-generator',
]
const ENABLED = 'systemd-networkd.service larder-settings.service'

const INSTALL = `
  root=$1; shift
  chroot "$root" dpkg -i "$@"
  chroot "$root" systemctl disable ${DISABLED}
  chroot "$root" systemctl enable ${ENABLED}`

/**
 * Fills `root` and `data`, empty folders, and `boot` with the kernel and the firmware as their packages lay them out. `debs`:
 * paths of Larder's packages. Returns the kernel's version, and a list of all packages.
 */
export async function fillRoot({ checkout, archive, debs, root, data, boot, epoch }) {
  run('tar', ['-xpf', archive, '--numeric-owner', '--exclude=./dev/*', '-C', root])
  const [version] = readdirSync(join(root, 'usr/lib/modules'))
  const unpacked = readFileSync(join(root, UNPACKED_LIST), 'utf8')
  for (const path of ['boot', `usr/lib/linux-image-${version}`, 'usr/lib/raspi-firmware']) {
    run('mv', [join(root, path), boot])
  }
  for (const folder of ['boot/firmware', 'data', 'var/lib/larder']) mkdirSync(join(root, folder), { recursive: true })
  layFiles(join(checkout, 'device/image/root'), root)
  for (const deb of debs) cpSync(deb, join(root, 'tmp', basename(deb)))
  await inNamespace(INSTALL, [root, ...debs.map(deb => `/tmp/${basename(deb)}`)])
  const installed = run('dpkg-query', [`--admindir=${join(root, 'var/lib/dpkg')}`, '-W'])
  moveData(root, data)
  settleSystem(root)
  for (const tree of [root, data]) settleTimes(tree, epoch)
  return { version, packages: `${installed}${unpacked}` }
}

/** Files of the checkout, with rights that do not depend on who checked it out. */
function layFiles(from, to) {
  for (const name of filesIn(from)) {
    cpSync(join(from, name), join(to, name), { recursive: true })
    chmodSync(join(to, name), statSync(join(from, name)).mode & 0o100 ? 0o755 : 0o644)
  }
}

/** What lasts, to the partition for that. */
function moveData(root, data) {
  for (const folder of ['ssh', 'apt/lists/partial', 'apt/cache/archives/partial'])
    mkdirSync(join(data, folder), { recursive: true })
  chmodSync(join(data, 'ssh'), 0o700)
  run('cp', ['-a', join(root, 'var/lib/systemd'), join(data, 'systemd')])
  run('cp', ['-a', join(root, 'etc/larder'), join(data, 'config')])
  const [uid, gid] = ownerOf(root, 'larder')
  mkdirSync(join(data, 'larder'), { mode: 0o700 })
  chownSync(join(data, 'larder'), uid, gid)
  const config = join(data, 'config/larder.yaml')
  writeFileSync(config, openToHouse(readFileSync(config, 'utf8')))
  writeFileSync(join(data, 'config/passwords'), '', { mode: 0o600 })
  chownSync(join(data, 'config/passwords'), uid, gid)
}

/** The package's configuration, made for a machine that is nothing else: for the house, and whoever is in `passwords`. */
function openToHouse(text) {
  const changes = [
    [
      /^# Only programs on this Pi can connect\.[^\n]*\n#[^\n]*\n/m,
      '# Who may connect stands in `passwords`: the user of larder.txt, and those of\n# `larder passwd /etc/larder/passwords NAME`.\n',
    ],
    [/^ {2}- mqtt:\/\/127\.0\.0\.1:1883\n/m, '  - mqtt://0.0.0.0:1883\n'],
    [
      /^# access: [^\n]*\n/m,
      'access: { password_file: /etc/larder/passwords }\ndashboard: { listen: 0.0.0.0:8080, users: /etc/larder/passwords }\n',
    ],
  ]
  return changes.reduce((changed, [found, instead]) => {
    if (!found.test(changed)) throw new Error(`larder.yaml of the package has no line like ${found} any more`)
    return changed.replace(found, instead)
  }, text)
}

function ownerOf(root, user) {
  const line = readFileSync(join(root, 'etc/passwd'), 'utf8')
    .split('\n')
    .find(each => each.startsWith(`${user}:`))
  return line.split(':').slice(2, 4).map(Number)
}

function settleSystem(root) {
  const at = path => join(root, path)
  for (const pattern of [...LEFTOVERS, ...SECRETS])
    for (const path of matching(root, pattern)) rmSync(path, { recursive: true })
  for (const folder of EMPTIED)
    for (const name of readdirSync(at(folder))) rmSync(at(`${folder}/${name}`), { recursive: true })
  // The name was drawn by `activate`.
  const [drawn] = readdirSync(at('usr/lib/larder/versions'))
  renameSync(at(`usr/lib/larder/versions/${drawn}`), at('usr/lib/larder/versions/image'))
  link(at('usr/lib/larder/current'), 'versions/image')
  writeFileSync(at('etc/hostname'), 'larder\n')
  writeFileSync(at('etc/hosts'), '127.0.0.1 localhost\n::1 localhost\n')
  // Empty: each start draws one, in memory.
  writeFileSync(at('etc/machine-id'), '')
  rmSync(at('etc/timezone'), { force: true })
  link(at('etc/localtime'), '/run/larder-card/localtime')
  link(at('etc/resolv.conf'), '../run/systemd/resolve/stub-resolv.conf')
  mkdirSync(at('etc/systemd/system-generators'), { recursive: true })
  for (const name of MASKED) link(at(`etc/systemd/${name}`), '/dev/null')
  rmSync(at('etc/apt/sources.list'))
  copyFileSync(at(SOURCES), at('etc/apt/sources.list.d/debian.sources'))
}

function matching(root, pattern) {
  const [folder, name] = [join(root, pattern, '..'), basename(pattern)]
  if (!existsSync(folder)) return []
  const found = new RegExp(`^${name.replaceAll('.', '\\.').replaceAll('*', '.*')}$`)
  return readdirSync(folder)
    .filter(each => found.test(each))
    .map(each => join(folder, each))
}

function link(path, to) {
  rmSync(path, { force: true })
  symlinkSync(to, path)
}

/** Nothing is younger than the checkout. */
function settleTimes(tree, epoch) {
  for (const name of ['.', ...readdirSync(tree, { recursive: true })]) {
    const path = join(tree, name)
    const { mtimeMs } = lstatSync(path)
    const time = Math.min(Math.floor(mtimeMs / 1000), epoch)
    lutimesSync(path, time, time)
  }
}
