/**
 * Debian's kernel 6.12 for PCs and `gpio-sim` for it: simulated chips that behave like real ones through sysfs and the
 * character device. Debian does not build that module, so it is built here, out of the kernel's own sources.
 */
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findBinary } from '../support/needs.ts'
import { succeed } from '../torture/guest/succeed.ts'
import type { Packages } from './packages.ts'

/** Deadline in ms for the module, which takes seconds, and for looking through the sources of a kernel. */
const BUILD_TIMEOUT = 120_000

const KBUILD = 'obj-m := gpio-sim.o\ngpio-sim-y := sim.o irq_sim.o\n'

/** Puts `vmlinuz` and `modules/` into `kept`, which is there. `folder` is for what is needed on the way. */
export async function buildSimKernel(packages: Packages, folder: string, kept: string): Promise<void> {
  const release = newest(await packages.names('linux-headers-6.12'))
  const root = join(folder, 'kernel')
  const common = release.replace(/-amd64$/, '')
  await packages.unpack(
    [
      `linux-image-${release}-unsigned`,
      `linux-headers-${release}`,
      `linux-headers-${common}-common`,
      `linux-kbuild-${common}`,
      'linux-source-6.12',
    ],
    root,
  )
  await copyFile(join(root, `boot/vmlinuz-${release}`), join(kept, 'vmlinuz'))
  await mkdir(join(kept, 'modules'), { recursive: true })
  const configfs = join(root, `lib/modules/${release}/kernel/fs/configfs/configfs.ko`)
  await succeed('xz', ['-d', `${configfs}.xz`], root)
  await copyFile(configfs, join(kept, 'modules/10-configfs.ko'))
  await copyFile(await buildModule(root, release, folder), join(kept, 'modules/20-gpio-sim.ko'))
}

function newest(names: string[]): string {
  const releases = names.flatMap(name => /^linux-headers-(6\.12\.\d+\+deb12-amd64)$/.exec(name)?.[1] ?? [])
  const patch = (release: string) => Number(release.split(/[.+]/)[2])
  const found = releases.sort((a, b) => patch(b) - patch(a))[0]
  if (found === undefined) throw new Error("Debian's kernel 6.12 for bookworm is not among its packages")
  return found
}

async function buildModule(root: string, release: string, folder: string): Promise<string> {
  const sources = join(folder, 'gpio-sim')
  const headers = join(root, `usr/src/linux-headers-${release}`)
  await mkdir(sources)
  const archive = join(root, 'usr/src/linux-source-6.12.tar.xz')
  const wanted = ['drivers/gpio/gpio-sim.c', 'kernel/irq/irq_sim.c'].map(path => `linux-source-6.12/${path}`)
  await succeed('tar', ['-xJf', archive, '--strip-components=3', ...wanted], sources, BUILD_TIMEOUT)
  await copyFile(join(sources, 'gpio-sim.c'), join(sources, 'sim.c'))
  // irq_to_desc is not for modules; what finds the descriptor and calls its handler is.
  const irq = await readFile(join(sources, 'irq_sim.c'), 'utf8')
  const forModules = irq.replace('handle_simple_irq(irq_to_desc(irqnum))', 'generic_handle_irq(irqnum)')
  await writeFile(join(sources, 'irq_sim.c'), forModules)
  await writeFile(join(sources, 'Kbuild'), KBUILD)
  // The headers expect to be installed.
  const makefile = join(headers, 'Makefile')
  await writeFile(makefile, (await readFile(makefile, 'utf8')).replaceAll(' /usr/src/', ` ${root}/usr/src/`))
  const compiler = findBinary('gcc-12') ?? findBinary('x86_64-linux-gnu-gcc-12') ?? 'gcc'
  await succeed('make', ['-C', headers, `M=${sources}`, `CC=${compiler}`, 'modules'], sources, BUILD_TIMEOUT)
  const built = (await readdir(sources)).find(name => name === 'gpio-sim.ko')
  if (built === undefined) throw new Error('gpio-sim.ko was not built')
  return join(sources, built)
}
