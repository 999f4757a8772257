/**
 * The log port, and its one implementation: one line an event through `pino`, on stderr (stdout belongs to the line that
 * says the gateway is ready), as JSON, or as text for a person at a terminal. What says the same again and again is
 * counted (`log-repeats.ts`), the last lines are kept (`log-tail.ts`), and where the owner wants it lines are published
 * below `$SYS/broker/log/`, as Mosquitto does with `log_dest topic`.
 */
import { type Logger, pino } from 'pino'
import { type Clock, systemClock } from './clock.ts'
import { reasonOf } from './errors.ts'
import { isoTime } from './iso-time.ts'
import { Repeats } from './log-repeats.ts'
import { LogTail } from './log-tail.ts'
import { lineText } from './log-text.ts'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
export type LogFormat = 'auto' | 'json' | 'text'

export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  /** A log whose every line carries `fields`. */
  child(fields: object): Log
}

export interface LogOptions {
  level: LogLevel
  format: LogFormat
  /** Lines of this level and above are published. */
  topics?: Exclude<LogLevel, 'debug'> | undefined
}

/** Publishes a line; `send` is set by whoever has a broker, while it has one. */
export interface LogTopics {
  send: ((topic: string, line: string) => void) | null
}

/** The gateway's own log. */
export interface OwnLog extends Log {
  readonly tail: LogTail
  /** Absent where nothing is to be published. */
  readonly topics?: LogTopics
  /** Says what has been counted and not told. For the end. */
  flush(): void
}

/** Builds the gateway's log on stderr, or wherever `write` puts its lines. */
export function createLog(options: LogOptions, deps: { clock?: Clock; write?: (line: string) => void } = {}): OwnLog {
  const { level, format, topics } = options
  const { clock = systemClock, write = line => void process.stderr.write(line) } = deps
  const text = format === 'text' || (format === 'auto' && process.stderr.isTTY === true)
  const destination = { write: (line: string) => write(text ? toText(line) : line) }
  const timestamp = () => `,"time":"${isoTime(clock.wall())}"`
  const logger = pino({ level, base: null, timestamp, formatters: { log: withReasons } }, destination)
  const tail = new LogTail()
  const repeats = new Repeats({ clock })
  const published = topics === undefined ? undefined : new Publisher({ lowest: topics, clock })
  const log = new SpokenLog(logger, {}, { clock, repeats, tail, published })
  return Object.assign(log, {
    tail,
    flush: () => repeats.flush(),
    ...(published === undefined ? {} : { topics: published }),
  })
}

interface Hearers {
  readonly clock: Clock
  readonly repeats: Repeats
  readonly tail: LogTail
  readonly published: Publisher | undefined
}

class SpokenLog implements Log {
  readonly #logger: Logger
  readonly #always: object
  /** What tells lines of one part from the same lines of another. */
  readonly #scope: string
  readonly #hearers: Hearers

  constructor(logger: Logger, always: object, hearers: Hearers) {
    this.#logger = logger
    this.#always = always
    this.#scope = JSON.stringify(always)
    this.#hearers = hearers
  }

  debug(fields: object, message: string): void {
    this.#say('debug', fields, message)
  }

  info(fields: object, message: string): void {
    this.#say('info', fields, message)
  }

  warn(fields: object, message: string): void {
    this.#say('warn', fields, message)
  }

  error(fields: object, message: string): void {
    this.#say('error', fields, message)
  }

  child(fields: object): Log {
    return new SpokenLog(this.#logger.child(fields), { ...this.#always, ...fields }, this.#hearers)
  }

  /** Who asks for everything gets everything: what is for debugging is not counted. */
  #say(level: LogLevel, fields: object, message: string): void {
    if (!this.#logger.isLevelEnabled(level)) return
    const tellMore = (more: number) => this.#tell(level, {}, `${message} (… ${more} more like this within a minute)`)
    const isTold = level === 'debug' || this.#hearers.repeats.admits(`${level} ${this.#scope} ${message}`, tellMore)
    if (isTold) this.#tell(level, fields, message)
  }

  #tell(level: LogLevel, fields: object, message: string): void {
    const { clock, tail, published } = this.#hearers
    this.#logger[level](fields, message)
    const text = lineText({ ...this.#always, ...fields }, message)
    tail.push({ at: clock.wall(), level, text })
    published?.publish(level, text)
  }
}

/** Mosquitto's letters. What is for debugging is not published: publishing it makes more of it. */
const LETTERS = { info: 'N', warn: 'W', error: 'E' } as const

class Publisher implements LogTopics {
  send: LogTopics['send'] = null
  readonly #lowest: number
  readonly #clock: Clock
  #isPublishing = false

  constructor({ lowest, clock }: { lowest: LogLevel; clock: Clock }) {
    this.#lowest = LOG_LEVELS.indexOf(lowest)
    this.#clock = clock
  }

  /** `1669151234: text` on the topic of its level. What publishing makes the gateway say is not published in turn. */
  publish(level: LogLevel, text: string): void {
    if (level === 'debug' || this.send === null || this.#isPublishing) return
    if (LOG_LEVELS.indexOf(level) < this.#lowest) return
    this.#isPublishing = true
    try {
      this.send(`$SYS/broker/log/${LETTERS[level]}`, `${Math.floor(this.#clock.wall() / 1000)}: ${text}`)
    } finally {
      this.#isPublishing = false
    }
  }
}

/** As JSON an error is an empty object. */
function withReasons(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, value instanceof Error ? reasonOf(value) : value]),
  )
}

/** A log that says nothing: for parts that run inside somebody else's program. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
}

const LEVEL_NAMES: Record<number, string> = { 20: 'debug', 30: 'info ', 40: 'WARN ', 50: 'ERROR', 60: 'FATAL' }

function toText(line: string): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as Record<string, unknown>
  return `${String(time).slice(11, 23)} ${LEVEL_NAMES[Number(level)] ?? level} ${lineText(fields, String(msg))}\n`
}
