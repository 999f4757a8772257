import { execFileSync } from 'node:child_process'

/** Runs a program to its end and returns what it printed. Throws, with what it complained of, when it fails. */
export function run(program, args, options = {}) {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options })
  } catch (error) {
    if (error.status === undefined || error.status === null) throw error
    const complaint = `${error.stderr ?? ''}`.trim() || `exit status ${error.status}`
    throw new Error(`${program} ${args.join(' ')}: ${complaint}`, { cause: error })
  }
}
