/**
 * A line that a regular expression of the owner's makes sense of: its named groups are the values, those that are numbers become
 * numbers, and a group that took no part is left out.
 *
 * An expression can take longer than anybody waits: `(a+)+` for one, or four times `.*` on a long line. Those that cannot, which are most,
 * are simply run. The others are run where V8 can stop them (`node:vm`), which costs a tenth of a millisecond, and are stopped when they
 * have used their time; then some lines are dropped unread, so that a device which sends nothing else takes a small part of the machine.
 */
import { createContext, Script } from 'node:vm'
import type { Reading } from '../../src/devices/ports.ts'
import { systemCodeOf } from '../../src/kernel/errors.ts'
import type { Codec, CodecEvents } from './codec.ts'
import { lineCodec } from './lines.ts'
import type { RegexSettings } from './settings.ts'
import { excerpt, numberOrText, Values } from './values.ts'

/** Time of the processor in ms for one line. A sound expression takes a thousandth of it. */
const TIME_MS = 20
/** How often a line is tried, with twice the time on the clock each time, when the processor was busy with something else. */
const TRIES = 5
/** Lines that are dropped after one that took too long: of a line a second, such lines then take under a thousandth. */
export const LINES_AFTER_TIMEOUT = 50
/** What a tame expression cannot make slow: a place to begin and two repetitions are at worst the third power of this. */
const TAME_LENGTH = 256
const TAME_REPETITIONS = 2

type Groups = Readonly<Record<string, string | undefined>>

/** Throws a `SyntaxError` when the pattern is none. */
export function regexCodec({ maxLine, pattern }: Omit<RegexSettings, 'codec'>, events: CodecEvents): Codec {
  const expression = new RegExp(pattern)
  const tame = isTame(pattern)
  let watched: ((line: string) => Groups | undefined) | undefined
  let dropping = 0
  return lineCodec({ maxLine, decode, mayBeTail: () => true }, events)

  function decode(line: string): Reading {
    const values = new Values()
    for (const [name, text] of Object.entries(groupsOf(line))) {
      if (text !== undefined && text !== '') values.set(name, numberOrText(text))
    }
    if (values.count === 0) throw new Error(`the pattern found no values in ${excerpt(line)}`)
    return { value: values.byName }
  }

  function groupsOf(line: string): Groups {
    if (tame && line.length <= TAME_LENGTH) return expression.exec(line)?.groups ?? {}
    if (dropping > 0) {
      dropping--
      throw new Error(`the pattern took too long for a line before, and this one was dropped: ${excerpt(line)}`)
    }
    watched ??= watch(expression)
    const groups = watched(line)
    if (groups !== undefined) return groups
    dropping = LINES_AFTER_TIMEOUT
    throw new Error(`the pattern takes longer than ${TIME_MS} ms for ${excerpt(line)}: write it simpler`)
  }
}

/** Whether an expression has so little to choose from that a short line cannot make it slow: nothing repeated within what is repeated. */
function isTame(pattern: string): boolean {
  if (/\\[1-9k]|\(\?<?[=!]/.test(pattern)) return false
  const bare = pattern.replace(/\\./g, 'x').replace(/\[[^\]]*\]/g, 'x')
  return !/\)[*+{]/.test(bare) && (bare.match(/[*+{]/g) ?? []).length <= TAME_REPETITIONS
}

/** Runs the expression under supervision: what it returns gives no groups at all when the time is used up. */
function watch(expression: RegExp): (line: string) => Groups | undefined {
  const context = createContext(Object.assign(Object.create(null), { expression, line: '' }))
  const script = new Script('expression.exec(line)?.groups')
  return line => {
    context.line = line
    for (let tries = 0, timeout = TIME_MS; tries < TRIES; tries++, timeout *= 2) {
      const before = process.cpuUsage()
      try {
        return (script.runInContext(context, { timeout }) as Groups | undefined) ?? {}
      } catch (error) {
        if (systemCodeOf(error) !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
        const { user, system } = process.cpuUsage(before)
        if ((user + system) / 1000 >= TIME_MS) return undefined
      }
    }
    return undefined
  }
}
