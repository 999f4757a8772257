/**
 * The log in Mosquitto's form: `1669151234: New connection from 127.0.0.1:43210 on port 1883.` Lines have one of
 * Mosquitto's types, and only those types are written that the owner wants. It is also the gateway's own log, so that
 * what the parts say stands among the rest in the same form.
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import type { Clock } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { MosquittoLogSettings } from './ports.ts'
import { strftime } from './strftime.ts'

export type LineType = 'error' | 'warning' | 'notice' | 'information' | 'debug' | 'subscribe' | 'unsubscribe'

/** Below `$SYS/broker/log/`. What is logged of packets is never published: publishing it is a packet too. */
const TOPICS: Readonly<Partial<Record<LineType, string>>> = {
  error: 'E',
  warning: 'W',
  notice: 'N',
  information: 'I',
  subscribe: 'M/subscribe',
  unsubscribe: 'M/unsubscribe',
}

export interface MosquittoLogDependencies {
  settings: MosquittoLogSettings
  clock: Pick<Clock, 'wall'>
  /** Write one line, without the line break. */
  stdout(line: string): void
  stderr(line: string): void
}

export class MosquittoLog implements Log {
  readonly settings: MosquittoLogSettings
  /** Publishes a line of a type below `$SYS`; set by whoever has a broker. */
  publish: ((topic: string, line: string) => void) | null = null
  readonly #deps: MosquittoLogDependencies
  readonly #types: ReadonlySet<string>
  #file: number | undefined
  #isPublishing = false

  constructor(deps: MosquittoLogDependencies) {
    this.#deps = deps
    this.settings = deps.settings
    this.#types = new Set(deps.settings.types)
  }

  /** Opens the file of `log_dest file`, also again after it was moved away. Throws when it cannot be written to. */
  open(): void {
    this.close()
    const { file, destinations } = this.settings
    if (file !== undefined && destinations.includes('file')) this.#file = openSync(file, 'a')
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }

  /** True when lines of this type are written: others need not be put together. */
  has(type: LineType): boolean {
    return this.#types.has(type)
  }

  line(type: LineType, text: string): void {
    if (!this.has(type)) return
    // Topics and names are the clients': they must not begin a line of their own.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
    const line = `${this.#stamp()}${text.replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g, '?')}`
    for (const destination of this.settings.destinations) {
      if (destination === 'file') this.#writeToFile(line)
      else if (destination === 'topic') this.#publish(type, line)
      else this.#deps[destination](line)
    }
  }

  debug(fields: object, message: string): void {
    if (this.has('debug')) this.line('debug', sentence(message, fields))
  }

  info(fields: object, message: string): void {
    if (this.has('notice')) this.line('notice', sentence(message, fields))
  }

  warn(fields: object, message: string): void {
    if (this.has('warning')) this.line('warning', `Warning: ${sentence(message, fields)}`)
  }

  error(fields: object, message: string): void {
    if (this.has('error')) this.line('error', `Error: ${sentence(message, fields)}`)
  }

  child(fields: object): Log {
    const all = (more: object) => ({ ...fields, ...more })
    return {
      debug: (more, message) => this.debug(all(more), message),
      info: (more, message) => this.info(all(more), message),
      warn: (more, message) => this.warn(all(more), message),
      error: (more, message) => this.error(all(more), message),
      child: more => this.child(all(more)),
    }
  }

  #stamp(): string {
    const { timestamp, timestampFormat } = this.settings
    if (!timestamp) return ''
    const now = this.#deps.clock.wall()
    return `${timestampFormat === undefined ? Math.floor(now / 1000) : strftime(timestampFormat, new Date(now))}: `
  }

  #writeToFile(line: string): void {
    if (this.#file === undefined) return
    try {
      writeSync(this.#file, `${line}\n`)
    } catch {
      // A full disk must not end the gateway, and there is nobody left to tell.
    }
  }

  #publish(type: LineType, line: string): void {
    const topic = TOPICS[type]
    // What publishing a line makes the gateway say is not published in turn.
    if (topic === undefined || this.publish === null || this.#isPublishing) return
    this.#isPublishing = true
    try {
      this.publish(`$SYS/broker/log/${topic}`, line)
    } finally {
      this.#isPublishing = false
    }
  }
}

/** Our own log lines have fields; in a line of text they follow in brackets. */
function sentence(message: string, fields: object): string {
  const shown = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${value instanceof Error ? reasonOf(value) : text(value)}`)
  return `${message}${shown.length === 0 ? '' : ` (${shown.join(', ')})`}.`
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
