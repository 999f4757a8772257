/**
 * The text of a configuration for a person to look at: what is secret is replaced by dots, in comments too, and in URLs. A
 * reference such as `${PASSWORD}` stays, because it says where to look. A text that cannot be read as YAML is treated line
 * by line, and loses rather too much than too little.
 */
import { isPair, isScalar, parseDocument, visit } from 'yaml'

export const HIDDEN = '••••••'

const SECRET_KEY = /(?:^|_)(?:password|passwd|psk_key|token|secret)$/i
const IN_A_LINE = /((?:password|passwd|psk_key|token|secret)["']?\s*:\s*)(\S.*)$/i
/** The value is in the lines that follow. */
const BELOW = /(?:password|passwd|psk_key|token|secret)["']?\s*:\s*$/i
/** A value in quotes that do not end in its line. */
const UNENDED = /^(?:"(?:[^"\\]|\\.)*|'(?:[^']|'')*)$/
/** `user:password@` of a URL. */
const IN_A_URL = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@"']*:)([^\s/@"']+)(?=@)/gi
const REFERENCE = /^["']?\$\{[A-Za-z_][A-Za-z0-9_]*\}["']?$/
const BLOCK = /^[|>]/

export function withoutSecrets(text: string): string {
  const document = parseDocument(text, { logLevel: 'silent' })
  const hidden = document.errors.length === 0 ? inTree(text, document) : inLines(text)
  const comments = hidden.replace(/#.*$/gm, comment =>
    comment.replace(IN_A_LINE, (_, before: string, value: string) => before + hide(value)),
  )
  return comments.replace(IN_A_URL, (_, before: string, value: string) => before + hide(value))
}

function inTree(text: string, document: ReturnType<typeof parseDocument>): string {
  const ranges: [number, number][] = []
  visit(document, {
    Pair(_, pair) {
      if (!isPair(pair) || !isScalar(pair.key) || !SECRET_KEY.test(`${pair.key.value}`)) return
      const range = (pair.value as { range?: [number, number, number] | null } | null)?.range
      if (range) ranges.push([range[0], range[1]])
    },
  })
  let result = text
  for (const [start, end] of ranges.sort((a, b) => b[0] - a[0])) {
    const value = text.slice(start, end)
    // A block ends with its line.
    const rest = BLOCK.test(value) && value.endsWith('\n') ? '\n' : ''
    result = result.slice(0, start) + hide(value) + rest + result.slice(end)
  }
  return result
}

function inLines(text: string): string {
  let depth = -1
  /** In quotes that have begun and not ended, lines may begin anywhere. */
  let quote = ''
  return text
    .split('\n')
    .map(line => {
      const indent = line.search(/\S/)
      if (quote !== '') {
        if (line.includes(quote)) quote = ''
        return HIDDEN
      }
      // What is further in belongs to the secret above it.
      if (depth >= 0 && (indent === -1 || indent > depth)) return indent === -1 ? line : line.slice(0, indent) + HIDDEN
      depth = BELOW.test(line) ? indent : -1
      return line.replace(IN_A_LINE, (_, before: string, value: string) => {
        depth = indent
        quote = UNENDED.test(value) ? value.slice(0, 1) : ''
        return before + hide(value)
      })
    })
    .join('\n')
}

function hide(value: string): string {
  return REFERENCE.test(value.trim()) || value === '' || value === HIDDEN ? value : HIDDEN
}
