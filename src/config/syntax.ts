/**
 * From text to a YAML syntax tree, with everything the parser found wrong, in words for an owner. Each
 * fault says how far it reaches: what else of the text can still be judged.
 */
import { Composer, type Document, Lexer, Parser, type YAMLError } from 'yaml'
import { shorten } from './fault.ts'

/** Collections inside each other. Ours needs 6; a parser that is led hundreds deep may run out of stack. */
const MAX_DEPTH = 50

export interface SyntaxFault {
  /** Characters from the start of the text. */
  offset: number
  message: string
  /** Where the text may have been read as something else than was meant: nowhere, on its line, or from there on. */
  reach: 'nowhere' | 'line' | 'rest'
  /** True for a quote or a bracket that is never closed: what it swallowed begins before `offset`. */
  unclosed: boolean
}

type Meaning = readonly [about: RegExp, reach: SyntaxFault['reach'], message: string]

const NOT_A_PAIR =
  'this is not YAML: a key, a colon and a value are expected, indented as their neighbours are (a value with ": " in it goes into quotes)'

const UNCLOSED: Meaning = [
  /^\S+ (Missing closing|Flow (map|sequence) )/,
  'rest',
  'a quote or a bracket that opens here is not closed',
]

const ENDED: Meaning = [
  /in YAML stream/,
  'rest',
  'nothing can stand here: a bracket has no partner, or a line has lost its indentation',
]

/** What the parser means by a code and a message; the first that fits. What fits nowhere is told in the parser's own words. */
const MEANINGS: readonly Meaning[] = [
  UNCLOSED,
  ENDED,
  [/^BAD_DQ_ESCAPE/, 'line', 'in double quotes a \\ begins an escape such as \\n: write \\\\, or use single quotes'],
  [/^BAD_INDENT|Sequence item without/, 'rest', 'this line is not indented as its neighbours are'],
  [/^BAD_SCALAR_START/, 'line', 'a value cannot begin with this character: put it in quotes'],
  // The parser takes all that follows for a part of this value.
  [/^BLOCK_AS_IMPLICIT_KEY/, 'rest', NOT_A_PAIR],
  [/^MULTILINE_IMPLICIT_KEY|Implicit map keys/, 'line', NOT_A_PAIR],
  [
    /^MISSING_CHAR Comments/,
    'line',
    'a # that begins a comment needs a space before it; one that does not goes into quotes',
  ],
  [
    /^BLOCK_IN_FLOW|^MISSING_CHAR Missing (,|space)/,
    'line',
    'a comma, or the space behind a colon, is missing in these brackets',
  ],
  [
    /at node end$/,
    'line',
    'this does not belong to the value before it: put the whole value in quotes (a quote in it is written twice)',
  ],
  [/^NON_STRING_KEY/, 'line', 'a key must be plain text'],
  [/^TAB_AS_INDENT/, 'line', 'a tab cannot indent: use spaces'],
  [
    /^TAG_RESOLVE_FAILED/,
    'nowhere',
    'a tag (a word that begins with !) means nothing here: leave it out, or put the value in quotes',
  ],
]

/** The first document of `text`, and what is wrong with how it is written; no document when it cannot be read at all. */
export function parseYaml(text: string): { document: Document.Parsed | undefined; faults: SyntaxFault[] } {
  // Keys that are written twice are found by the reader, which can name them.
  const composer = new Composer({ stringKeys: true, resolveKnownTags: false, uniqueKeys: false, logLevel: 'error' })
  let documents: Document.Parsed[]
  try {
    documents = [...composer.compose(tokens(text), true, text.length)]
  } catch (error) {
    if (!(error instanceof TooDeepError)) throw error
    const message = `more than ${MAX_DEPTH} lists and maps inside each other: nothing here needs that`
    return { document: undefined, faults: [{ offset: error.offset, message, reach: 'rest', unclosed: false }] }
  }
  const [document, second] = documents
  const errors: YAMLError[] = [...(document?.errors ?? []), ...(document?.warnings ?? [])]
  const end = errors.find(isEnd)
  const faults = errors.filter(error => error === end || !isEnd(error)).map(faultOf)
  if (second !== undefined) {
    const message = 'a second document begins before this: only one is read, so remove the line with ---'
    faults.push({ offset: second.range[0], message, reach: 'nowhere', unclosed: false })
  }
  return { document, faults }
}

class TooDeepError extends Error {
  readonly offset: number
  constructor(offset: number) {
    super('nested too deep')
    this.offset = offset
  }
}

function* tokens(text: string) {
  const parser = new Parser()
  for (const lexeme of new Lexer().lex(text)) {
    yield* parser.next(lexeme)
    if (parser.stack.length > MAX_DEPTH) throw new TooDeepError(parser.offset)
  }
  yield* parser.end()
}

/** Once the parser takes the document for ended, it has the same to say of every line that follows. */
function isEnd(error: YAMLError): boolean {
  return ENDED[0].test(error.message)
}

function faultOf(error: YAMLError): SyntaxFault {
  const text = `${error.code} ${error.message}`
  const meaning = MEANINGS.find(([about]) => about.test(text))
  const [, reach, message] = meaning ?? [undefined, 'line' as const, `this is not YAML: ${shorten(error.message)}`]
  return { offset: error.pos[0], message, reach, unclosed: meaning === UNCLOSED }
}
