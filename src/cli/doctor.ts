/**
 * `larder doctor`: looks the gateway and its machine over, and says what to do about what is not well. Works whether the
 * gateway runs or not, and with a configuration that has faults.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { DEFAULT_FILE, faultLine, type LoadOptions, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { LarderError } from '../kernel/errors.ts'
import { CONFIG_FLAG } from './check.ts'
import { askGateway } from './control.ts'
import { type Command, EXIT_USAGE } from './larder.ts'

export interface DoctorFinding {
  readonly check: string
  readonly subject?: string
  readonly grade: 'ok' | 'warn' | 'fail' | 'skip'
  readonly cause: string
  readonly mend?: string
}

/** What the running gateway says of itself: the part of its status that the doctor looks at. */
export interface RunningGatewayState {
  readonly troubles: readonly string[]
  readonly bridges: readonly { name: string; connected: boolean; waiting: number; oldest?: number }[]
  readonly devices: readonly { room: string; name: string; state: string }[]
}

export interface DoctorSubject {
  readonly config: Config | undefined
  readonly faults: readonly string[]
  readonly file: string
  readonly running: RunningGatewayState | undefined
  readonly login?: { username: string; password: string } | undefined
}

export type Examine = (subject: DoctorSubject) => AsyncIterable<DoctorFinding>

const STATUSES =
  'Exit status: 0 all is well; 1 there are warnings; 2 something does not work, or the command line was not understood.'

export function doctorCommand(deps: Pick<LoadOptions, 'checks'> & { examine: Examine }): Command {
  return {
    summary: 'look the gateway and its machine over: what is not well, why, and what to do',
    flags: {
      config: CONFIG_FLAG,
      json: { type: 'boolean', help: 'as one line of JSON' },
      username: { type: 'string', short: 'u', value: 'USER', help: 'for listeners that ask for one' },
      password: { type: 'string', short: 'P', value: 'PASSWORD', help: 'which other users of the machine can see' },
    },
    examples: [
      ['larder doctor', 'of the gateway with ./larder.yaml'],
      ['larder doctor -c /etc/larder/larder.yaml --json', 'for a program'],
      ['larder doctor -u anna -P secret', 'and whether that user comes in'],
    ],
    statuses: STATUSES,
    async run(flags, io) {
      const { username, password } = flags as Record<string, string | undefined>
      if ((username === undefined) !== (password === undefined)) {
        io.stderr('larder: doctor: --username and --password go together')
        return EXIT_USAGE
      }
      const file = flags.config ?? (existsSync(resolve(io.cwd, DEFAULT_FILE)) ? DEFAULT_FILE : undefined)
      const source = typeof file === 'string' ? { file } : {}
      const result = loadConfig({ ...source, env: io.env, cwd: io.cwd, checks: deps.checks })
      const config = 'config' in result ? result.config : undefined
      const findings: DoctorFinding[] = []
      const found = deps.examine({
        config,
        faults: 'faults' in result ? result.faults.map(faultLine) : [],
        file: typeof file === 'string' ? file : 'the built-in configuration',
        running: config === undefined ? undefined : await stateOf(config.dataDir),
        login: username === undefined || password === undefined ? undefined : { username, password },
      })
      for await (const finding of found) {
        findings.push(finding)
        if (flags.json !== true) for (const line of lines(finding)) io.stdout(line)
      }
      const status = statusOf(findings)
      if (flags.json === true) io.stdout(JSON.stringify({ status, findings }))
      else io.stdout(summary(findings))
      return status
    },
  }
}

async function stateOf(dataDir: string): Promise<RunningGatewayState | undefined> {
  try {
    const { ok, lines } = await askGateway(dataDir, { command: 'status', form: 'json' })
    return ok ? JSON.parse(lines[0] ?? '') : undefined
  } catch (error) {
    if (error instanceof LarderError && error.code === 'NOT_RUNNING') return undefined
    throw error
  }
}

function lines({ check, subject, grade, cause, mend }: DoctorFinding): string[] {
  const start = `${grade.padEnd(4)}  ${check.padEnd(9)}  `
  const what = `${subject === undefined ? '' : `${subject}: `}${cause}`
  const indent = ' '.repeat(start.length)
  // Names are the owner's, and answers come from the network: a terminal obeys what it is sent.
  return [`${start}${what}`, ...(mend === undefined ? [] : [`${indent}-> ${mend}`])].map(line =>
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
    line.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?'),
  )
}

function statusOf(findings: readonly DoctorFinding[]): 0 | 1 | 2 {
  if (findings.some(({ grade }) => grade === 'fail')) return 2
  return findings.some(({ grade }) => grade === 'warn') ? 1 : 0
}

function summary(findings: readonly DoctorFinding[]): string {
  const count = (grade: DoctorFinding['grade']) => findings.filter(each => each.grade === grade).length
  const [fails, warns, skips] = [count('fail'), count('warn'), count('skip')]
  if (fails + warns === 0) return `larder: all is well${skips === 0 ? '' : `; ${skips} could not be told here`}`
  return `larder: ${fails} to be mended, ${warns} to be thought about`
}
