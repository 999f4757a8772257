/** What is below `/api/`: who may ask, and who answers. The contract is in `api.ts`. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../kernel/clock.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { Actions } from './actions.ts'
import type { DeadLetterView, Discovery, Finding, Section, Session } from './api.ts'
import { bodyOf, textOf } from './checks.ts'
import { isFromPage } from './guard.ts'
import type { History } from './history.ts'
import { HttpRefusal, readJson, refuse, sendJson } from './http.ts'
import type { LoggedIn, Logins } from './logins.ts'
import type { Subject, Surroundings, Users } from './ports.ts'
import { MAX_STREAMS, type Streams } from './streams.ts'

/** Characters of a user name and of a password that are looked at. */
const MAX_NAME = 1_000
/** Dead letters that are shown. */
const MAX_DEAD = 100

const SECTIONS: readonly Section[] = [
  'overview',
  'home',
  'topics',
  'clients',
  'bridges',
  'devices',
  'health',
  'log',
] satisfies Section[]

interface Asked {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly query: URLSearchParams
  readonly login: LoggedIn | undefined
}

export interface ApiDependencies {
  clock: Clock
  log: Log
  logins: Logins
  /** Null: nobody has to log in. */
  users: () => Users | null
  isSecure: boolean
  streams: Streams
  surroundings: Surroundings
  /** Of a gateway that runs. */
  running: { readonly subject: Subject; readonly history: History; readonly actions: Actions } | undefined
}

export class Api {
  readonly #deps: ApiDependencies
  #examination: Promise<readonly Finding[]> | undefined
  readonly #gets: Readonly<Record<string, (asked: Asked) => Promise<unknown>>>

  constructor(deps: ApiDependencies) {
    this.#deps = deps
    const { surroundings, running } = deps
    this.#gets = {
      history: async ({ query }) => {
        const history = running?.history.of(query.get('series') ?? '')
        return history ?? nothing('there is no such series')
      },
      config: async () => (await surroundings.config?.()) ?? nothing('there is no configuration file'),
      discover: async (): Promise<Discovery> =>
        (await surroundings.discover?.()) ?? nothing('nothing can be looked for'),
      doctor: async () => (await this.#examined()) ?? nothing('there is no doctor here'),
      dead: async ({ query }) => {
        const bridge = query.get('bridge') ?? ''
        if (running?.subject.bridges().some(({ name }) => name === bridge) !== true) nothing('there is no such bridge')
        const letters: DeadLetterView[] = []
        for await (const letter of running?.subject.dead(bridge) ?? []) {
          letters.push(letter)
          if (letters.length === MAX_DEAD) break
        }
        return letters
      },
    }
  }

  /** Answers a request for `/api/<name>`. Never rejects. */
  async answer(
    name: string,
    request: IncomingMessage,
    response: ServerResponse,
    query: URLSearchParams,
  ): Promise<void> {
    try {
      if (!isFromPage(request)) throw new HttpRefusal(403, 'only the page itself may ask this')
      if (name === 'session') await this.#session(request, response)
      else await this.#dispatch(name, { request, response, query, login: this.#login(request) })
    } catch (error) {
      // What is still to come of a body is not waited for.
      if (!request.complete) response.shouldKeepAlive = false
      if (response.headersSent) response.destroy()
      else if (error instanceof HttpRefusal) refuse(response, error.status, error.message, error.hint)
      else {
        this.#deps.log.error({ api: name, reason: reasonOf(error) }, 'the page asked for something that failed')
        refuse(response, 500, reasonOf(error))
      }
    }
  }

  async #dispatch(name: string, asked: Asked): Promise<void> {
    const { request, response } = asked
    const { running, clock, surroundings } = this.#deps
    if (request.method === 'GET') {
      if (name === 'events') return this.#events(asked)
      if (name === 'backup') return await this.#backup(response)
      const get = Object.hasOwn(this.#gets, name) ? this.#gets[name] : undefined
      if (get === undefined) nothing('there is nothing of this name')
      else sendJson(response, 200, await get(asked))
      return
    }
    if (request.method !== 'POST') throw new HttpRefusal(405, 'only GET and POST are answered here')
    if (name === 'restore') return await this.#restore(asked)
    const body = await readJson(request, clock)
    if (name === 'config/check') {
      sendJson(response, 200, { faults: (await surroundings.check?.()) ?? nothing('there is no configuration file') })
      return
    }
    if (running === undefined) throw new HttpRefusal(503, 'the gateway does not run: its configuration has faults')
    if (!running.actions.has(name)) return nothing('there is nothing of this name')
    sendJson(response, 200, await running.actions.run(name, body, asked.login?.user))
  }

  /** Whoever asks meanwhile gets the same: it connects to everything that there is. */
  #examined(): Promise<readonly Finding[]> | undefined {
    this.#examination ??= this.#deps.surroundings.doctor?.().finally(() => {
      this.#examination = undefined
    })
    return this.#examination
  }

  /** Throws unless nobody has to log in, or this one has. */
  #login(request: IncomingMessage): LoggedIn | undefined {
    if (this.#deps.users() === null) return undefined
    const login = this.#deps.logins.find(request.headers.cookie)
    if (login === undefined) throw new HttpRefusal(401, 'log in first')
    return login
  }

  async #session(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { logins, clock, isSecure } = this.#deps
    const { cookie } = request.headers
    const users = this.#deps.users()
    if (request.method === 'GET') {
      const user = users === null ? undefined : logins.find(cookie)?.user
      const session: Session = { needsLogin: users !== null, ...(user === undefined ? {} : { user }) }
      sendJson(response, 200, session)
    } else if (request.method === 'DELETE') {
      response.setHeader('Set-Cookie', logins.end(cookie))
      response.writeHead(204).end()
    } else if (request.method === 'POST') {
      const body = bodyOf(await readJson(request, clock))
      const user = textOf(body, 'user', MAX_NAME)
      const password = Buffer.from(textOf(body, 'password', MAX_NAME))
      if (users === null) throw new HttpRefusal(409, 'nobody has to log in here')
      if (!(await mayEnter(users, user, password, request.socket.remoteAddress))) {
        this.#deps.log.warn({ user, from: request.socket.remoteAddress }, 'a login at the page failed')
        throw new HttpRefusal(401, 'user name or password is wrong')
      }
      this.#deps.log.info({ user, from: request.socket.remoteAddress }, 'somebody logged in at the page')
      response.setHeader('Set-Cookie', logins.begin(user, isSecure))
      response.writeHead(204).end()
    } else throw new HttpRefusal(405, 'only GET, POST and DELETE are answered here')
  }

  #events({ query, response, login }: Asked): void {
    const wanted = (query.get('of') ?? '').split(',').filter(name => name !== '')
    const sections = SECTIONS.filter(section => wanted.includes(section))
    if (sections.length < new Set(wanted).size) throw new HttpRefusal(400, `of may name ${SECTIONS.join(', ')}`)
    const end = this.#deps.streams.open(response, sections)
    if (end === undefined) {
      response.setHeader('Retry-After', '10')
      throw new HttpRefusal(503, `${MAX_STREAMS} pages are open already`, 'Close one of them.')
    }
    if (login === undefined) return
    login.onEnd.add(end)
    response.once('close', () => login.onEnd.delete(end))
  }

  async #backup(response: ServerResponse): Promise<void> {
    const backup = await this.#deps.surroundings.backup?.({ withSecrets: this.#deps.users() !== null })
    if (backup === undefined) return nothing('no backup can be made here')
    response.writeHead(200, {
      'Content-Type': 'application/octet-stream',
      'Content-Disposition': `attachment; filename="${backup.name}"`,
      'Cache-Control': 'no-store',
    })
    const { pipeline } = await import('node:stream/promises')
    await pipeline(backup.stream, response)
  }

  async #restore({ request, response }: Asked): Promise<void> {
    const { restore } = this.#deps.surroundings
    if (restore === undefined) return nothing('no backup can be restored here')
    if (!/^application\/octet-stream\b/i.test(request.headers['content-type'] ?? '')) {
      throw new HttpRefusal(415, 'the body must be a backup, with Content-Type: application/octet-stream')
    }
    // Whoever sent it may be gone before all of it has been checked: it is taken up all the same.
    const closed = new Promise<void>(resolve => response.once('close', resolve))
    let begin: () => void
    try {
      begin = await restore(request, { withSecrets: this.#deps.users() !== null })
    } catch (error) {
      const hint = error instanceof LarderError ? error.hint : undefined
      throw new HttpRefusal(409, reasonOf(error), hint)
    }
    this.#deps.log.warn({}, 'a backup is restored from the page: the gateway starts anew')
    // The answer first: the page ends with the gateway.
    void closed.then(begin)
    response.shouldKeepAlive = false
    sendJson(response, 200, { message: 'the backup is taken up: the gateway starts anew' })
  }
}

async function mayEnter(users: Users, user: string, password: Buffer, address: string | undefined): Promise<boolean> {
  try {
    return await users.mayEnter(user, password, address)
  } catch (error) {
    throw new HttpRefusal(429, reasonOf(error), 'Wait a few seconds.')
  }
}

function nothing(message: string): never {
  throw new HttpRefusal(404, message)
}
