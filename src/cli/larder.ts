/**
 * The command line: finds the command, reads its flags, runs it. Nothing here knows what the commands do,
 * and nothing touches the process: its streams, signals and environment come in as `Io`.
 *
 * Exit status: 0 done; 1 it could not be done; 2 the command line was not understood.
 */
import { parseArgs } from 'node:util'
import { likelySpelling } from '../config/spelling.ts'
import { reasonOf, systemCodeOf } from '../kernel/errors.ts'

export const EXIT_DONE = 0
export const EXIT_FAILED = 1
export const EXIT_USAGE = 2

export type StopSignal = 'SIGTERM' | 'SIGINT'

/** The part of `process` that gives signals. */
export interface Signals {
  on(signal: StopSignal | 'SIGHUP', listener: () => void): unknown
  off(signal: StopSignal | 'SIGHUP', listener: () => void): unknown
}

/** What a command has of the process around it. */
export interface Io {
  /** Writes one line; the line break is added. */
  stdout(line: string): void
  stderr(line: string): void
  readonly env: NodeJS.ProcessEnv
  /** Absolute path of the working folder. */
  readonly cwd: string
  readonly signals: Signals
  /** Of the package. */
  readonly version: string
}

export interface Flag {
  readonly type: 'string' | 'boolean'
  readonly short?: string
  /** Stands for the value in the help, such as `FILE`. */
  readonly value?: string
  readonly help: string
}

export interface Command {
  /** One line for the help. */
  readonly summary: string
  readonly flags: Readonly<Record<string, Flag>>
  /** What may follow the flags, for the help: `FILE [USER]`. From the first on, nothing is taken for a flag. */
  readonly operands?: string
  /** Command lines that somebody may want to type, each with what it is for. */
  readonly examples: readonly (readonly [line: string, what: string])[]
  /** What its exit statuses mean, where that is more than done, failed and not understood. */
  readonly statuses?: string
  /** It reads its command line by itself: all of it comes as operands, `--help` too. */
  readonly readsAll?: boolean
  /** Of one that reads its command line by itself: its flags by all their names, for completion. */
  words?(): Promise<readonly { readonly names: readonly string[]; readonly value?: string | undefined }[]>
  /** Resolves with the exit status. */
  run(
    flags: Readonly<Record<string, string | boolean | undefined>>,
    io: Io,
    operands: readonly string[],
  ): Promise<number>
}

/** What a command says of its exit status when it says nothing else. */
const STATUSES = 'Exit status: 0 done; 1 it could not be done; 2 the command line was not understood.'
/** Characters of an example that leave room behind it. */
const MAX_EXAMPLE = 60

/** What runs when no command is named. */
const DEFAULT_COMMAND = 'start'

const HELP: Flag = { type: 'boolean', short: 'h', help: 'show this and do nothing else' }

/** Runs the command line `argv` (without node and the script); resolves with the exit status. */
export async function run(
  argv: readonly string[],
  io: Io,
  commands: Readonly<Record<string, Command>>,
): Promise<number> {
  const [first] = argv
  if (first === '--help' || first === '-h') return print(io, overview(commands))
  if (first === '--version') return print(io, [io.version])
  const isNamed = first !== undefined && !first.startsWith('-')
  const words = isNamed ? nameIn(argv, commands) : [DEFAULT_COMMAND]
  const name = words.join(' ')
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  const group = Object.entries(commands).filter(([each]) => each.startsWith(`${name} `))
  if (command === undefined && group.length > 0) {
    const isAsked = argv[1] === '--help' || argv[1] === '-h'
    for (const line of overview(Object.fromEntries(group))) (isAsked ? io.stdout : io.stderr)(line)
    return isAsked ? EXIT_DONE : EXIT_USAGE
  }
  if (command === undefined) return misused(io, `there is no command '${name}'`, name, Object.keys(commands))
  const flags = { ...command.flags, help: HELP }
  const rest = argv.slice(isNamed ? words.length : 0)
  if (command.readsAll === true) return command.run({}, io, rest)
  const args = command.operands === undefined ? rest : rest.slice(0, firstOperand(rest, flags))
  let values: Record<string, string | boolean | undefined>
  try {
    values = parseArgs({ args, options: flags, strict: true }).values as typeof values
  } catch (error) {
    const unknown = systemCodeOf(error) === 'ERR_PARSE_ARGS_UNKNOWN_OPTION' ? unknownFlag(args, flags) : undefined
    if (unknown === undefined) return misused(io, `${name}: ${reasonOf(error).split('\n')[0]}`)
    return misused(
      io,
      `${name} has no flag ${unknown}`,
      unknown,
      Object.keys(flags).map(flag => `--${flag}`),
    )
  }
  const empty = Object.keys(values).find(flag => values[flag] === '')
  if (empty !== undefined)
    return misused(io, `${name}: --${empty} is empty, but should be a ${command.flags[empty]?.value ?? 'value'}`)
  return values.help === true ? print(io, usage(name, command)) : command.run(values, io, rest.slice(args.length))
}

/** The words that name the command: two where a command begins with the first, such as `store verify`. */
function nameIn(argv: readonly string[], commands: Readonly<Record<string, Command>>): string[] {
  const hasMore = Object.keys(commands).some(name => name.startsWith(`${argv[0]} `))
  return argv.slice(0, hasMore && argv[1]?.startsWith('-') === false ? 2 : 1)
}

function print(io: Io, lines: readonly string[]): number {
  for (const line of lines) io.stdout(line)
  return EXIT_DONE
}

function misused(io: Io, message: string, word = '', known: readonly string[] = []): number {
  const likely = likelySpelling(word, known)
  io.stderr(
    `larder: ${message}; ${likely === undefined ? 'larder --help shows what there is' : `did you mean ${likely}?`}`,
  )
  return EXIT_USAGE
}

/** Where the flags of `args` end. */
function firstOperand(args: string[], flags: Readonly<Record<string, Flag>>): number {
  const { tokens } = parseArgs({ args, options: flags, strict: false, tokens: true })
  return tokens.find(each => each.kind === 'positional')?.index ?? args.length
}

/** The first flag of `args` that is not one of `flags`, as it was written. */
function unknownFlag(args: string[], flags: Readonly<Record<string, Flag>>): string | undefined {
  const { tokens } = parseArgs({ args, options: flags, strict: false, tokens: true })
  const token = tokens.find(each => each.kind === 'option' && !Object.hasOwn(flags, each.name))
  return token?.kind === 'option' ? token.rawName : undefined
}

function overview(commands: Readonly<Record<string, Command>>): string[] {
  return [
    'larder [COMMAND] [FLAGS]',
    '',
    ...columns(Object.entries(commands).map(([name, { summary }]) => [name, summary])),
    '',
    ...columns([
      ['--help', 'show this; behind a command, show its flags'],
      ['--version', 'show the version'],
    ]),
    '',
    `Without a command it is larder ${DEFAULT_COMMAND}.`,
    STATUSES,
  ]
}

function usage(name: string, command: Command): string[] {
  const flags = Object.entries({ ...command.flags, help: HELP }).map(([flag, { short, value, help }]) => {
    const letter = short === undefined ? '' : `-${short}, `
    return [`${letter}--${flag}${value === undefined ? '' : ` ${value}`}`, help] as const
  })
  const line = ['larder', name, '[FLAGS]', ...(command.operands === undefined ? [] : [command.operands])].join(' ')
  return [
    line,
    '',
    command.summary,
    '',
    ...columns(flags),
    '',
    ...exampleLines(command.examples),
    '',
    command.statuses ?? STATUSES,
  ]
}

/** Command lines with what they are for, behind them where there is room. */
export function exampleLines(examples: Command['examples']): string[] {
  const width = Math.max(...examples.map(([line]) => line.length).filter(length => length <= MAX_EXAMPLE))
  return examples.flatMap(([line, what]) =>
    line.length > MAX_EXAMPLE ? [`  ${line}`, `  ${' '.repeat(width)}  ${what}`] : [`  ${line.padEnd(width)}  ${what}`],
  )
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`)
}
