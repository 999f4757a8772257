/**
 * `larder passwd`: makes and changes a password file, with the flags of `mosquitto_passwd`. What comes after the flags
 * is taken as it is, so a password may begin with a dash.
 */
import { resolve } from 'node:path'
import { LarderError, reasonOf, systemCodeOf } from '../kernel/errors.ts'
import { type Command, EXIT_DONE, EXIT_FAILED, EXIT_USAGE, type Io } from './larder.ts'

const KINDS = ['sha512', 'sha512-pbkdf2', 'argon2id', 'scram-sha-256'] as const
type Kind = (typeof KINDS)[number]
/** Every mosquitto reads it, and it needs no package. */
const DEFAULT_KIND: Kind = 'sha512-pbkdf2'
/** Kinds that have a number of iterations. */
const STRETCHED: readonly Kind[] = ['sha512-pbkdf2', 'scram-sha-256']

interface HashChoice {
  kind: Kind
  iterations: number | undefined
}

/** What is done to a file. Each rejects with a RangeError for what cannot be used, and with the error of the file. */
export interface PasswordFiles {
  passwordLine(userName: string, password: string, choice: HashChoice): Promise<string>
  setPassword(
    file: string,
    what: HashChoice & { userName: string; password: string; create: boolean },
  ): Promise<{ isNew: boolean; isTightened: boolean }>
  deleteUser(file: string, userName: string): Promise<{ isTightened: boolean } | undefined>
  hashPlainPasswords(file: string, choice: HashChoice): Promise<{ hashed: number; isTightened: boolean } | string>
}

export interface PasswdDependencies {
  load: () => Promise<PasswordFiles>
  /** Resolves to the answers, or to undefined when there are not so many. */
  askSecretly: (prompts: readonly string[]) => Promise<string[] | undefined>
}

type Flags = Readonly<Record<string, string | boolean | undefined>>

/** What one command line asks for. */
type Task =
  | { do: 'set'; file: string; userName: string; password: string | undefined; create: boolean }
  | { do: 'delete'; file: string; userName: string }
  | { do: 'hash'; file: string }

export function passwdCommand(deps: PasswdDependencies): Command {
  return {
    summary: 'make and change a password file, with the flags of mosquitto_passwd',
    examples: [
      ['larder passwd -c /etc/larder/passwords anna', 'a new file; the password is asked for'],
      ['larder passwd -D /etc/larder/passwords anna', 'take a user out'],
    ],
    operands: 'FILE [USER [PASSWORD]]',
    flags: {
      batch: { type: 'boolean', short: 'b', help: 'take PASSWORD from the command line, where others may see it' },
      create: { type: 'boolean', short: 'c', help: 'make a new file, in the place of an old one; - writes to stdout' },
      delete: { type: 'boolean', short: 'D', help: 'delete USER' },
      upgrade: { type: 'boolean', short: 'U', help: 'hash every password that stands in FILE as it is' },
      hash: { type: 'string', short: 'H', value: 'KIND', help: `${KINDS.join(', ')} (${DEFAULT_KIND} when not given)` },
      iterations: { type: 'string', short: 'I', value: 'NUMBER', help: `of ${STRETCHED.join(' and ')}` },
    },
    async run(flags, io, operands) {
      const task = taskOf(flags, operands)
      const choice = choiceOf(flags)
      if (typeof task === 'string') return misused(io, task)
      if (typeof choice === 'string') return misused(io, choice)
      try {
        return await carryOut(task, choice, io, deps)
      } catch (error) {
        return failed(io, reasonIn(error, task.file))
      }
    },
  }
}

function taskOf(flags: Flags, operands: readonly string[]): Task | string {
  const chosen = [flags.create && '-c', flags.delete && '-D', flags.upgrade && '-U'].filter(Boolean)
  if (chosen.length > 1) return `${chosen.join(' and ')} cannot be used together`
  const other = chosen[0]
  if (flags.batch === true && (other === '-D' || other === '-U')) return `-b and ${other} cannot be used together`
  const wanted = other === '-U' ? ['FILE'] : ['FILE', 'USER', ...(flags.batch === true ? ['PASSWORD'] : [])]
  if (operands.length !== wanted.length) return `${wanted.join(' ')} must follow the flags`
  const [file = '', userName = '', password] = operands
  if (other === '-U') return { do: 'hash', file }
  if (other === '-D') return { do: 'delete', file, userName }
  return { do: 'set', file, userName, password, create: other === '-c' }
}

function choiceOf({ hash = DEFAULT_KIND, iterations }: Flags): HashChoice | string {
  const kind = KINDS.find(each => each === hash)
  if (kind === undefined) return `there is no hash '${hash}': there are ${KINDS.join(', ')}`
  if (iterations === undefined) return { kind, iterations }
  if (!STRETCHED.includes(kind)) return `-I is for ${STRETCHED.join(' and ')}`
  if (!/^[1-9][0-9]{0,9}$/.test(String(iterations))) return '-I must be a number above 0'
  return { kind, iterations: Number(iterations) }
}

async function carryOut(task: Task, choice: HashChoice, io: Io, deps: PasswdDependencies): Promise<number> {
  const files = await deps.load()
  const file = resolve(io.cwd, task.file)
  const tell = (line: string, { isTightened }: { isTightened: boolean }) => {
    io.stdout(line)
    if (isTightened) io.stderr(`larder: others could read ${task.file}; now only its owner can`)
    return EXIT_DONE
  }
  if (task.do === 'delete') {
    const written = await files.deleteUser(file, task.userName)
    if (written === undefined) return failed(io, `there is no user ${task.userName} in ${task.file}`)
    return tell(`Deleted user ${task.userName}`, written)
  }
  if (task.do === 'hash') {
    const written = await files.hashPlainPasswords(file, choice)
    if (typeof written === 'string') return failed(io, `${task.file}: ${written}; nothing was changed`)
    return tell(`Hashed passwords: ${written.hashed}`, written)
  }
  const password = task.password ?? (await newPassword(io, deps))
  if (password === undefined) return EXIT_FAILED
  const { userName } = task
  if (task.create && task.file === '-') {
    io.stdout(await files.passwordLine(userName, password, choice))
    return EXIT_DONE
  }
  const written = await files.setPassword(file, { ...choice, userName, password, create: task.create })
  return tell(`${written.isNew ? 'Adding' : 'Updating'} password for user ${userName}`, written)
}

/** Asked for twice; undefined, and said, when it cannot be used. */
async function newPassword(io: Io, { askSecretly }: PasswdDependencies): Promise<string | undefined> {
  const [first, second] = (await askSecretly(['Password: ', 'Reenter password: '])) ?? []
  if (first === undefined || second === undefined) failed(io, 'the password must be given twice; nothing was changed')
  else if (first === '') failed(io, 'the password is empty; nothing was changed')
  else if (first !== second) failed(io, 'the passwords do not match; nothing was changed')
  else return first
  return undefined
}

function reasonIn(error: unknown, file: string): string {
  if (error instanceof LarderError) return error.toLine()
  if (error instanceof RangeError) return error.message
  if (systemCodeOf(error) === 'ENOENT') return `there is no file ${file}: -c makes a new one`
  return `${file} cannot be changed: ${reasonOf(error)}`
}

function failed(io: Io, message: string): number {
  io.stderr(`larder: ${message}`)
  return EXIT_FAILED
}

function misused(io: Io, message: string): number {
  io.stderr(`larder: passwd: ${message}; larder passwd --help shows how`)
  return EXIT_USAGE
}
