/** How a newer version comes onto a machine with Debian's packages. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { UpdateDependencies } from './update.ts'

/** Debian's names for Node.js' names of processors. */
const ARCHITECTURES: Readonly<Record<string, string>> = { arm: 'armhf', arm64: 'arm64', x64: 'amd64' }
/** What the package alone brings. */
const MARK = '/usr/lib/larder/activate'

export function debianUpdate(): UpdateDependencies {
  return {
    architecture: ARCHITECTURES[process.arch],
    isPackaged: () => existsSync(MARK),
    // A configuration that the owner changed stays, without a question.
    install: file => run('dpkg', ['--force-confold', '--install', file]),
  }
}

function run(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] })
      .once('error', reject)
      .once('close', code => resolve(code ?? 1))
  })
}
