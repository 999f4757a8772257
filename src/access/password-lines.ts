/**
 * Changing the text of a password file. Comments, blank lines, line ends, the order and every line that is not meant
 * stay as they are, also those that are wrong: who sets one password should not lose another.
 */
import { claimsToBeHash, readHash } from './hashes.ts'

/** Bytes of a user name, as of any string in MQTT. */
const MAX_NAME_BYTES = 65_535

/** Why no line can let in a user of this name, or undefined. */
export function userNameFault(userName: string): string | undefined {
  if (userName === '') return 'the user name is empty'
  if (userName.includes(':')) return "the user name must not contain ':'"
  if (/\p{Cc}/u.test(userName)) return 'the user name must not contain control characters'
  if (Buffer.byteLength(userName) > MAX_NAME_BYTES) return `the user name must have at most ${MAX_NAME_BYTES} bytes`
  if (userName.startsWith('#')) return "the user name must not begin with '#': its line would be a comment"
  if (userName.trim() !== userName) return 'the user name must not begin or end with a space: such are not read'
  return undefined
}

/** The text with `hash` as that of the user, in the place of an earlier one or at the end. */
export function withUser(text: string, userName: string, hash: string): { text: string; isNew: boolean } {
  const lines = linesOf(text)
  const place = lines.findIndex(line => nameIn(line) === userName)
  const entry = `${userName}:${hash}`
  if (place < 0) return { text: [...lines.map(ended), `${entry}\n`].join(''), isNew: true }
  const end = /\r?\n$/.exec(lines[place]!)?.[0] ?? ''
  // A second line of the same user would be a fault.
  const kept = lines.filter((line, index) => index <= place || nameIn(line) !== userName)
  return { text: kept.with(place, entry + end).join(''), isNew: false }
}

/** The text without the user, or undefined when there is none. */
export function withoutUser(text: string, userName: string): string | undefined {
  const lines = linesOf(text)
  const kept = lines.filter(line => nameIn(line) !== userName)
  return kept.length === lines.length ? undefined : kept.join('')
}

/**
 * The text with every password that stands there as it is replaced by what `hash` makes of it. A string says which line
 * is wrong. A hash stays; what only begins like one is a fault, because nobody can tell which of the two it is.
 */
export async function withHashes(
  text: string,
  hash: (userName: string, password: string) => Promise<string>,
): Promise<{ text: string; hashed: number } | string> {
  const lines = linesOf(text)
  const plain = new Map<number, { userName: string; password: string }>()
  for (const [index, line] of lines.entries()) {
    if (line.startsWith('#') || line.trim() === '') continue
    const userName = nameIn(line)
    const password = line.slice(line.indexOf(':') + 1).trim()
    if (!userName || password === '') return `line ${index + 1} is not of the form user:password`
    if (typeof readHash(password) === 'object') continue
    if (claimsToBeHash(password)) return `line ${index + 1} begins like a hash but is none`
    plain.set(index, { userName, password })
  }
  for (const [index, { userName, password }] of plain) {
    lines[index] = `${userName}:${await hash(userName, password)}${/\r?\n$/.exec(lines[index]!)?.[0] ?? ''}`
  }
  return { text: lines.join(''), hashed: plain.size }
}

/** The lines with their ends. */
function linesOf(text: string): string[] {
  return text.split(/(?<=\n)/).filter(line => line !== '')
}

/** The user name of a line, without spaces around it; undefined for what has none. */
function nameIn(line: string): string | undefined {
  const colon = line.indexOf(':')
  return line.startsWith('#') || colon < 0 ? undefined : line.slice(0, colon).trim()
}

function ended(line: string): string {
  return line.endsWith('\n') ? line : `${line}\n`
}
