/**
 * Files of options, as Mosquitto's programs have them: `-o FILE`, else `mosquitto_pub`, `mosquitto_sub` or `mosquitto_rr` in
 * `$XDG_CONFIG_HOME`, else in `~/.config`. A line is a flag and, behind a blank, its value, which may have blanks; a line that
 * begins with `#` is a comment. They come before the command line, which so has the last word.
 */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { systemCodeOf } from '../../kernel/errors.ts'
import type { Program } from './settings.ts'
import { ClientFault } from './texts.ts'

/** Bytes: a hundred times more than there are flags. */
const MAX_FILE = 2 ** 16

/** The lines of the file that counts for a command line, as words. Throws ClientFault when one that was named cannot be read. */
export function optionLines(
  program: Program,
  words: readonly string[],
  { env, cwd }: { env: NodeJS.ProcessEnv; cwd: string },
): string[][] {
  const named = namedFile(words)
  const file = named === undefined ? usualFile(program, env) : resolve(cwd, named)
  const text = file === undefined ? '' : read(file, named !== undefined)
  return text.split('\n').flatMap(line => {
    if (line.startsWith('#')) return []
    const [, flag, value] = /^ *([^ ]+)(?: (.+))?$/.exec(line.replace(/\r+$/, '')) ?? []
    if (flag === undefined) return []
    return [value === undefined ? [flag] : [flag, value]]
  })
}

function namedFile(words: readonly string[]): string | undefined {
  const places = words.flatMap((word, at) => (word === '-o' ? [at] : []))
  if (places.length > 1) throw new ClientFault('Error: Duplicate -o argument given.\n\n')
  const [at] = places
  if (at === undefined) return undefined
  const file = words[at + 1]
  if (file === undefined) throw new ClientFault('Error: -o argument given but no options file specified.\n\n')
  return file
}

function usualFile(program: Program, { XDG_CONFIG_HOME, HOME }: NodeJS.ProcessEnv): string | undefined {
  if (XDG_CONFIG_HOME !== undefined) return join(XDG_CONFIG_HOME, `mosquitto_${program}`)
  return HOME === undefined ? undefined : join(HOME, '.config', `mosquitto_${program}`)
}

function read(file: string, isNamed: boolean): string {
  try {
    const text = readFileSync(file, 'utf8')
    if (text.length > MAX_FILE) throw new ClientFault(`Error: ${file} is too large to be a file of options.\n`)
    return text
  } catch (error) {
    // Who names a file wants it; Mosquitto goes on without a word.
    if (isNamed && !(error instanceof ClientFault))
      throw new ClientFault(`Error: Unable to open options file "${file}" (${systemCodeOf(error)}).\n`)
    if (error instanceof ClientFault) throw error
    return ''
  }
}
