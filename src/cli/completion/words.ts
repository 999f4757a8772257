/** What can be completed, made from the table of commands: their names, their flags, and what stands behind a flag. */
import type { Command } from '../larder.ts'

/** What the shell is to offer: file names, names of folders, or nothing of its own. */
export type Kind = 'file' | 'folder' | 'text'

export interface CompletedFlag {
  /** Each name with its dashes. */
  readonly names: readonly string[]
  /** Of what stands behind it; undefined when nothing does. */
  readonly value: Kind | undefined
  readonly help: string
}

export interface CompletedCommand {
  /** One word or two. */
  readonly words: readonly string[]
  readonly summary: string
  readonly flags: readonly CompletedFlag[]
  /** Files stand behind its flags. */
  readonly takesFiles: boolean
  /** What may stand behind its flags otherwise. */
  readonly operands: readonly string[]
}

/** The placeholders of values that are names of files and of folders. */
const FILES = /^(file|socket path)$/i
const FOLDERS = /^(dir|folder|directory)$/i

const HELP: CompletedFlag = { names: ['--help'], value: undefined, help: 'show the flags' }

export async function completedCommands(
  commands: Readonly<Record<string, Command>>,
): Promise<readonly CompletedCommand[]> {
  return Promise.all(
    Object.entries(commands).map(async ([name, command]): Promise<CompletedCommand> => {
      const { summary, operands = '' } = command
      return {
        words: name.split(' '),
        summary,
        flags: await flagsOf(command),
        takesFiles: /\bFILE\b/.test(operands),
        // `bash|zsh|fish`
        operands: /^[a-z]+(\|[a-z]+)+$/.test(operands) ? operands.split('|') : [],
      }
    }),
  )
}

async function flagsOf({ flags, words }: Command): Promise<CompletedFlag[]> {
  const own = Object.entries(flags).map(([name, { short, type, value = '', help }]) => ({
    names: [`--${name}`, ...(short === undefined ? [] : [`-${short}`])],
    value: type === 'boolean' ? undefined : kindOf(value),
    help,
  }))
  const read = ((await words?.()) ?? []).map(({ names, value }) => ({
    names,
    value: value === undefined ? undefined : kindOf(value),
    help: value ?? '',
  }))
  const all = [...own, ...read]
  return all.some(({ names }) => names.includes('--help')) ? all : [...all, HELP]
}

function kindOf(placeholder: string): Kind {
  if (FILES.test(placeholder)) return 'file'
  return FOLDERS.test(placeholder) ? 'folder' : 'text'
}
