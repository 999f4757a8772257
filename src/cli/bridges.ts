/**
 * `larder bridges …`: how the bridges of the running gateway are doing, and what can be told them. What an upstream would not
 * take may be a thousand messages of any size: they come one by one behind the answer, and are printed one by one.
 */
import { isUtf8 } from 'node:buffer'
import type { LoadOptions } from '../config/load.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import { folderOf, GATEWAY_FLAGS } from './asking.ts'
import { askGateway, type ControlAnswer, type ControlRequest } from './control.ts'
import { type Command, EXIT_DONE, EXIT_FAILED, EXIT_USAGE } from './larder.ts'
import { bytes, count, span } from './words.ts'

/** The bridges of a gateway. All that take a name throw, or reject, when there is none of that name. */
export interface BridgeAccess {
  states(): readonly BridgeView[]
  deadLetters(name: string): AsyncIterable<DeadLetterView>
  retry(name: string): Promise<number>
  pause(name: string): Promise<void>
  resume(name: string): Promise<void>
}

/** Of a bridge's own state, what is told here. */
export interface BridgeView {
  readonly name: string
  readonly connected: boolean
  readonly paused: boolean
  readonly waiting: number
  readonly bytes: number
  readonly oldest: number | undefined
  readonly rateOut: number
  readonly rateIn: number
  readonly dead: number
  readonly drain: { readonly endsAt: number | undefined } | undefined
  readonly lastError: string | undefined
}

export interface DeadLetterView {
  readonly topic: string
  readonly payload: Buffer
  readonly retain: boolean
  readonly reason: string
}

type Checks = Pick<LoadOptions, 'checks'>

const JSON_FLAG = { type: 'boolean', help: 'each as a line of JSON' } as const

export function bridgesListCommand(deps: Checks): Command {
  return {
    summary: 'show the bridges of the running gateway, and what waits for them',
    flags: { ...GATEWAY_FLAGS, json: JSON_FLAG },
    examples: [['larder bridges list', 'a line for each']],
    run: (flags, io) => askAbout('list', {}, flags, io, deps),
  }
}

export function bridgesDeadCommand(deps: Checks): Command {
  return {
    ...named('dead', deps),
    summary: 'list what the upstream of a bridge would not take, and why',
    flags: { ...GATEWAY_FLAGS, json: { ...JSON_FLAG, help: 'each as a line of JSON, with its payload' } },
    examples: [
      ['larder bridges dead cloud', 'topic, size and reason of each'],
      ['larder bridges dead --json cloud > refused.jsonl', 'all of them, to look into or to keep'],
    ],
  }
}

export function bridgesRetryCommand(deps: Checks): Command {
  return {
    ...named('retry', deps),
    summary: 'send again what the upstream of a bridge would not take, behind what waits',
    examples: [['larder bridges retry cloud', 'when its reason is gone']],
  }
}

export function bridgesPauseCommand(deps: Checks): Command {
  return {
    ...named('pause', deps),
    summary: 'disconnect a bridge; what it is to carry waits until it is resumed',
    examples: [['larder bridges pause cloud', 'until "larder bridges resume cloud", or the next start']],
  }
}

export function bridgesResumeCommand(deps: Checks): Command {
  return {
    ...named('resume', deps),
    summary: 'connect a bridge that was paused',
    examples: [['larder bridges resume cloud', 'and what has waited goes']],
  }
}

function named(what: string, deps: Checks): Pick<Command, 'flags' | 'operands' | 'run'> {
  return {
    flags: GATEWAY_FLAGS,
    operands: 'NAME',
    async run(flags, io, operands) {
      const [name, ...others] = operands
      if (name !== undefined && others.length === 0) return askAbout(what, { name }, flags, io, deps)
      io.stderr(
        `larder: bridges ${what}: give the name of one bridge behind the flags; "larder bridges list" shows them`,
      )
      return EXIT_USAGE
    },
  }
}

async function askAbout(
  what: string,
  options: Readonly<Record<string, string>>,
  flags: Parameters<Command['run']>[0],
  io: Parameters<Command['run']>[1],
  deps: Checks,
): Promise<number> {
  const folder = folderOf(flags, io, deps)
  if (folder === undefined) return EXIT_FAILED
  try {
    const form = flags.json === true ? 'json' : 'text'
    const { ok, lines, body = [] } = await askGateway(folder, { command: `bridges ${what}`, form, options })
    for (const line of lines) (ok ? io.stdout : io.stderr)(line)
    for await (const line of body) io.stdout(line.toString())
    return ok ? EXIT_DONE : EXIT_FAILED
  } catch (error) {
    if (!(error instanceof LarderError)) throw error
    io.stderr(`larder: ${error.toLine()}`)
    return EXIT_FAILED
  }
}

/** The other end: what the gateway answers. Undefined when the request is about something else. Never rejects. */
export async function obeyBridges(
  { command, form = 'text', options = {} }: ControlRequest,
  bridges: BridgeAccess | undefined,
): Promise<ControlAnswer | undefined> {
  const [about, what = ''] = command.split(' ')
  if (bridges === undefined || about !== 'bridges' || !Object.hasOwn(ANSWERS, what)) return undefined
  try {
    return await (ANSWERS[what] as Answer)(bridges, options.name ?? '', form === 'json')
  } catch (error) {
    return { ok: false, lines: [`larder: ${reasonOf(error)}`] }
  }
}

type Answer = (bridges: BridgeAccess, name: string, isJson: boolean) => Promise<ControlAnswer>

const ANSWERS: Readonly<Record<string, Answer>> = {
  async list(bridges, _name, isJson) {
    const states = bridges.states()
    if (states.length === 0 && !isJson) return said('there are no bridges')
    return { ok: true, lines: states.map(state => (isJson ? JSON.stringify(state) : textOf(state))) }
  },
  async dead(bridges, name, isJson) {
    return { ok: true, lines: [], body: linesOf(bridges.deadLetters(name), isJson) }
  },
  async retry(bridges, name) {
    const number = await bridges.retry(name)
    return said(number === 1 ? 'one message is sent again' : `${count(number)} messages are sent again`)
  },
  async pause(bridges, name) {
    await bridges.pause(name)
    return said(`${name} is paused`)
  },
  async resume(bridges, name) {
    await bridges.resume(name)
    return said(`${name} goes on`)
  },
}

function said(line: string): ControlAnswer {
  return { ok: true, lines: [line] }
}

function textOf({
  name,
  connected,
  paused,
  waiting,
  oldest,
  rateOut,
  rateIn,
  dead,
  drain,
  ...state
}: BridgeView): string {
  const away = state.lastError === undefined ? 'not connected' : `not connected (${state.lastError})`
  const parts = [paused ? 'paused' : connected ? 'connected' : away]
  const age = oldest === undefined || waiting === 0 ? '' : `, the oldest for ${span(oldest)}`
  parts.push(waiting === 0 ? 'nothing waits' : `${count(waiting)} waiting (${bytes(state.bytes)}${age})`)
  if (drain?.endsAt !== undefined) parts.push(`done at about ${new Date(drain.endsAt).toISOString()}`)
  if (connected) parts.push(`${count(rateOut)}/s out, ${count(rateIn)}/s in`)
  if (dead > 0) parts.push(`${count(dead)} set aside`)
  return `${name}: ${parts.join('; ')}`
}

async function* linesOf(letters: AsyncIterable<DeadLetterView>, isJson: boolean): AsyncGenerator<Buffer> {
  for await (const letter of letters) yield Buffer.from(isJson ? jsonOf(letter) : lineOf(letter))
}

/** A topic may hold what a terminal would obey. */
function lineOf({ topic, payload, retain, reason }: DeadLetterView): string {
  return `${JSON.stringify(topic)} (${bytes(payload.length)}${retain ? ', retained' : ''}): ${reason}`
}

function jsonOf({ topic, payload, retain, reason }: DeadLetterView): string {
  const content = isUtf8(payload) ? { payload: payload.toString() } : { payload_base64: payload.toString('base64') }
  return JSON.stringify({ topic, retain, reason, ...content })
}
