/**
 * The tools of gpiod in both versions, as Debian 12 and 13 have them, each with the libraries that it was built for.
 */
import { chmod, copyFile, mkdir, readdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Packages } from './packages.ts'

const TOOLS = ['gpiodetect', 'gpioget', 'gpioinfo', 'gpiomon', 'gpioset']
/** Where they are in the guest; the folder of a version is for PATH. */
export const TOOLS_FOLDER = '/opt'
export const VERSIONS = [
  { name: 'gpiod-1', suite: 'bookworm', library: 'libgpiod2' },
  { name: 'gpiod-2', suite: 'trixie', library: 'libgpiod3' },
] as const

/** Puts the tools into `kept/<name>`. */
export async function fetchTools(
  { name, library }: (typeof VERSIONS)[number],
  packages: Packages,
  { folder, kept }: { folder: string; kept: string },
): Promise<void> {
  const unpacked = join(folder, name)
  await packages.unpack(['gpiod', library, 'libc6'], unpacked)
  const files = await readdir(unpacked, { recursive: true })
  const to = join(kept, name)
  await mkdir(join(to, 'lib'), { recursive: true })
  const keep = async (pattern: RegExp) => {
    const path = files.find(file => pattern.test(file))
    if (path === undefined) throw new Error(`the packages of ${name} have no ${pattern}`)
    await copyFile(join(unpacked, path), join(to, 'lib', basename(path)))
    return basename(path)
  }
  const loader = await keep(/\/ld-linux-[^/]*\.so\.\d$/)
  await keep(/\/libc\.so\.6$/)
  await keep(/\/libgpiod\.so\.\d$/)
  const place = `${TOOLS_FOLDER}/${name}/lib`
  for (const tool of TOOLS) {
    await copyFile(join(unpacked, 'usr/bin', tool), join(to, 'lib', tool))
    const script = `#!/bin/sh\nexec ${place}/${loader} --library-path ${place} ${place}/${tool} "$@"\n`
    await writeFile(join(to, tool), script)
    await chmod(join(to, tool), 0o755)
  }
}
