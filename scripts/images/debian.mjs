/**
 * The Debian that an image is made from: set up once and kept as an archive, with the packages of the kernel and the
 * firmware unpacked in it and not installed: their scripts would write to a running system's disk, and building Debian's own
 * initramfs takes an emulated processor a quarter of an hour.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../packaging/run.mjs'
import { inNamespace } from './namespace.mjs'

const SUITE = 'trixie'
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
const PACKAGES = [
  ...['systemd-sysv', 'udev', 'kmod', 'mount', 'systemd-timesyncd', 'systemd-resolved', 'openssh-server'],
  ...['wpasupplicant', 'wireless-regdb', 'iproute2', 'tzdata', 'gpiod', 'e2fsprogs', 'nano', 'libstdc++6'],
]
/** Unpacked only. The kernel's is the one behind `linux-image-arm64`. */
const UNPACKED = ['raspi-firmware', 'firmware-brcm80211', 'busybox-static']
/** Where Debian's apt says what an owner gets Debian from, which need not be where the builder does. */
export const SOURCES = 'usr/share/doc/apt/examples/debian.sources'
/** Papers of what is passed on stay, and Larder's own. */
const PATHS = [
  'path-exclude=/usr/share/doc/*',
  'path-include=/usr/share/doc/*/copyright',
  `path-include=/${SOURCES}`,
  'path-include=/usr/share/doc/larder/*',
  'path-exclude=/usr/share/man/*',
  'path-exclude=/usr/share/info/*',
  'path-exclude=/usr/share/locale/*',
]
/** Modules for what no Pi has, or no gateway listens to and looks at: a third of them. Those that another one needs stay. */
const NO_USE = [
  ...['sound', 'drivers/media', 'drivers/staging/vc04_services'],
  ...['drivers/infiniband', 'drivers/net/ethernet/mellanox'],
  ...['amd', 'msm', 'nouveau', 'radeon'].map(card => `drivers/gpu/drm/${card}`),
]
/** In the archive: what is unpacked only, a line a package. */
export const UNPACKED_LIST = 'boot/unpacked'
/** The date in Debian's own records (of passwords, say): one that does not depend on the checkout, as the archive does not. */
const EPOCH = Date.UTC(2025, 7, 9) / 1000

const UNPACK = `
  mkdir "$1/boot/debs" && cd "$1/boot/debs"
  export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG
  kernel=$(apt-cache depends linux-image-arm64 | sed -n 's/^ *Depends: \\(linux-image-[^ ]*\\)$/\\1/p')
  [ -n "$kernel" ]
  apt-get download "$kernel" ${UNPACKED.join(' ')}
  for deb in *.deb; do
    dpkg-deb -x "$deb" "$1"
    dpkg-deb --show --showformat '\${Package}\\t\${Version}\\n' "$deb" >>"$1/${UNPACKED_LIST}"
  done
  cd "$1" && rm -r boot/debs
  version=$(ls usr/lib/modules)
  chroot "$1" depmod "$version"
  (cd "usr/lib/modules/$version" && awk '
    { name = substr($1, 1, length($1) - 1) }
    name ~ "^kernel/(${NO_USE.join('|')})/" { of_no_use[name] }
    name !~ "^kernel/(${NO_USE.join('|')})/" { for (i = 2; i <= NF; i++) needed[$i] }
    END { for (name in of_no_use) if (!(name in needed)) print name }' modules.dep | xargs rm)
  chroot "$1" depmod "$version"`

/** The path of the archive. With `fresh` it is made in any case. */
export async function debianArchive({ cache, fresh, say }) {
  const site = debianSite()
  const sources = ['', '-updates', '-security'].map(part => {
    const place = part === '-security' ? site.replace(/debian\/?$/, 'debian-security') : site
    return `deb [signed-by=${KEYRING}] ${place} ${SUITE}${part} main non-free-firmware`
  })
  const options = [
    ...['--mode=root', '--architectures=arm64', '--variant=apt', '--format=tar', `--include=${PACKAGES.join(',')}`],
    ...PATHS.map(path => `--dpkgopt=${path}`),
    `--customize-hook=set -eu; ${UNPACK}`,
  ]
  const known = createHash('sha256').update(options.join('\n')).digest('hex').slice(0, 12)
  const archive = join(cache, `${SUITE}-${known}.tar`)
  if (existsSync(archive) && !fresh) return archive
  say(`setting up Debian (${SUITE}) for arm64: some minutes, once`)
  mkdirSync(cache, { recursive: true })
  const args = [...options, SUITE, `${archive}.part`, ...sources]
  rmSync(`${archive}.part`, { force: true })
  await inNamespace('exec mmdebstrap "$@"', args, { env: { ...process.env, SOURCE_DATE_EPOCH: `${EPOCH}` } })
  for (const name of readdirSync(cache).filter(each => each.endsWith('.tar'))) rmSync(join(cache, name))
  renameSync(`${archive}.part`, archive)
  return archive
}

/** Where this machine gets Debian from. */
function debianSite() {
  const sites = run('apt-get', ['indextargets', '--format', '$(SITE) $(LABEL)', 'Created-By: Packages'])
  const found = /^(\S+) Debian$/m.exec(sites)?.[1]
  if (found === undefined) throw new Error('this machine has no source of Debian')
  return found
}
