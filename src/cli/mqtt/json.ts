/**
 * JSON as cJSON reads and writes it, which is what `mosquitto_sub` prints: names stay in their order and may repeat,
 * numbers have up to 17 digits in the manner of printf's %g, and pretty text is indented by tabs. Text is a string of
 * bytes ("latin1"), so that what is no UTF-8 goes through as it came.
 */

/** cJSON's, so that what it refuses is refused here too. */
const MAX_DEPTH = 1_000

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}
/** What stands behind a backslash, and what it means. */
const MEANINGS: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

const NUMBER = /-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y
/** cJSON takes control characters in a string. */
const STRING = /"((?:[^"\\]|\\[\s\S])*)"/y
const LITERAL = /null|true|false/y
// biome-ignore lint/suspicious/noControlCharactersInRegex: what JSON does not let stand as it is.
const SPECIAL = /["\\\u0000-\u001f]/g

/** The bytes as a JSON string, up to the first zero byte as C has it. */
export function quoted(bytes: string): string {
  const end = bytes.indexOf('\0')
  return quote(end < 0 ? bytes : bytes.slice(0, end))
}

/** JSON text in cJSON's form; undefined when cJSON would not read it. */
export function rewritten(text: string, pretty: boolean): string | undefined {
  try {
    return new Rewriter(text, pretty).whole()
  } catch (error) {
    if (error instanceof NotJson) return undefined
    throw error
  }
}

function quote(bytes: string): string {
  return `"${bytes.replace(SPECIAL, byte => ESCAPES[byte] ?? `\\u${byte.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`
}

class NotJson extends Error {}

class Rewriter {
  readonly #text: string
  readonly #pretty: boolean
  #at = 0

  constructor(text: string, pretty: boolean) {
    this.#text = text
    this.#pretty = pretty
  }

  whole(): string {
    this.#space()
    const value = this.#value(0)
    this.#space()
    if (this.#at !== this.#text.length) throw new NotJson()
    return value
  }

  #value(depth: number): string {
    if (depth > MAX_DEPTH) throw new NotJson()
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth + 1)
      case '[':
        return `[${this.#items(']', () => this.#value(depth + 1)).join(this.#pretty ? ', ' : ',')}]`
      case '"':
        return this.#string()
    }
    const literal = this.#match(LITERAL)
    if (literal !== undefined) return literal[0]
    // It may begin with a point only behind a minus.
    const number = this.#text[this.#at] === '.' ? undefined : this.#match(NUMBER)
    if (number === undefined) throw new NotJson()
    return numberText(Number(number[0]))
  }

  #object(depth: number): string {
    const members = this.#items('}', () => {
      const name = this.#string()
      this.#space()
      if (this.#text[this.#at++] !== ':') throw new NotJson()
      this.#space()
      return `${name}:${this.#pretty ? '\t' : ''}${this.#value(depth)}`
    })
    if (!this.#pretty) return `{${members.join(',')}}`
    const lines = members.map(member => `${'\t'.repeat(depth)}${member}`)
    return `{\n${lines.join(',\n')}${lines.length > 0 ? '\n' : ''}${'\t'.repeat(depth - 1)}}`
  }

  /** What stands between this bracket and `close`. */
  #items(close: string, item: () => string): string[] {
    const items: string[] = []
    this.#at++
    this.#space()
    if (this.#text[this.#at] === close) {
      this.#at++
      return items
    }
    for (;;) {
      this.#space()
      items.push(item())
      this.#space()
      const next = this.#text[this.#at++]
      if (next === close) return items
      if (next !== ',') throw new NotJson()
    }
  }

  #string(): string {
    const found = this.#match(STRING)
    if (found === undefined) throw new NotJson()
    const inside = found[1] ?? ''
    const plain = inside.replace(/(?:\\u[0-9a-fA-F]{4})+|\\[\s\S]/g, sequence => {
      if (sequence.length > 2) return unicode(sequence)
      const meaning = MEANINGS[sequence.charAt(1)]
      if (meaning === undefined) throw new NotJson()
      return meaning
    })
    return quote(plain)
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)
    if (found === null) return undefined
    this.#at = pattern.lastIndex
    return found
  }

  /** cJSON takes every control character for a space. */
  #space(): void {
    while (this.#at < this.#text.length && this.#text.charCodeAt(this.#at) <= 0x20) this.#at++
  }
}

/** The UTF-8 of escapes such as \u00e9. */
function unicode(escapes: string): string {
  const text = JSON.parse(`"${escapes}"`) as string
  // Half a pair of surrogates is no character.
  if (/\p{Surrogate}/u.test(text)) throw new NotJson()
  return Buffer.from(text).toString('latin1')
}

/** 15 digits where these are the number, else 17. */
function numberText(value: number): string {
  if (!Number.isFinite(value)) return 'null'
  const short = generalForm(value, 15)
  return Number(short) === value ? short : generalForm(value, 17)
}

/** As printf's %.<digits>g. */
function generalForm(value: number, digits: number): string {
  if (Object.is(value, -0)) return '-0'
  const [mantissa = '', power = '0'] = value.toExponential(digits - 1).split('e')
  const exponent = Number(power)
  if (exponent >= -4 && exponent < digits) return trimmed(value.toFixed(Math.max(0, digits - 1 - exponent)))
  return `${trimmed(mantissa)}e${exponent < 0 ? '-' : '+'}${`${Math.abs(exponent)}`.padStart(2, '0')}`
}

function trimmed(decimal: string): string {
  return decimal.includes('.') ? decimal.replace(/\.?0+$/, '') : decimal
}
