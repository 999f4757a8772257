/** The web page's own door, as a browser uses it: a gateway with a page on a free port, its API, and its stream of events. */
import type { Sections } from '../../src/dashboard/api.ts'
import { type Gateway, type GatewayOptions, startGateway } from './gateway.ts'
import { until } from './wait.ts'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: each question has an answer of its own
  readonly body: any
}

export class DashboardClient {
  readonly url: string
  cookie: string | undefined

  constructor(url: string) {
    this.url = url
  }

  async ask(method: string, path: string, options: { body?: unknown; headers?: Record<string, string> } = {}) {
    const { body, headers = {} } = options
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...(this.cookie === undefined ? {} : { Cookie: this.cookie }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: 'manual',
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true
    const answer: Answer = {
      status: response.status,
      headers: response.headers,
      body: isJson ? JSON.parse(text) : text,
    }
    return answer
  }

  get(path: string, headers?: Record<string, string>): Promise<Answer> {
    return this.ask('GET', path, headers === undefined ? {} : { headers })
  }

  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer> {
    return this.ask('POST', path, headers === undefined ? { body } : { body, headers })
  }

  async login(user: string, password: string): Promise<Answer> {
    const answer = await this.post('/api/session', { user, password })
    this.cookie = answer.headers.get('set-cookie')?.split(';')[0]
    return answer
  }

  events(of: string): Promise<EventStream> {
    return EventStream.open(`${this.url}/api/events?of=${of}`, this.cookie)
  }
}

/** What came over a stream of events. */
export class EventStream {
  readonly events: { name: string; data: unknown }[] = []
  hasEnded = false
  readonly #abort: AbortController

  private constructor(response: Response, abort: AbortController) {
    this.#abort = abort
    void this.#read(response)
  }

  static async open(url: string, cookie?: string): Promise<EventStream> {
    const abort = new AbortController()
    const headers = cookie === undefined ? {} : { Cookie: cookie }
    const response = await fetch(url, { signal: abort.signal, headers })
    if (response.status !== 200) throw new Error(`${url}: ${response.status} ${await response.text()}`)
    return new EventStream(response, abort)
  }

  /** What came last of a section. */
  last<K extends keyof Sections>(name: K): Sections[K] | undefined {
    return this.events.findLast(event => event.name === name)?.data as Sections[K] | undefined
  }

  /** All entries of a section that comes in pieces. */
  all<K extends 'topics' | 'removed' | 'log'>(name: K): Sections[K][number][] {
    return this.events.filter(event => event.name === name).flatMap(({ data }) => data as Sections[K][number][])
  }

  /** Waits until what came last of a section is as wanted. */
  async when<K extends keyof Sections, T>(
    name: K,
    wanted: (section: Sections[K]) => T,
    timeout?: number,
  ): Promise<NonNullable<T>> {
    const found = await until(
      () => {
        const section = this.last(name)
        const value = section === undefined ? undefined : wanted(section)
        return value ? { value } : undefined
      },
      {
        what: () => `${name}: ${wanted}\nlast: ${JSON.stringify(this.last(name))}`,
        ...(timeout === undefined ? {} : { timeout }),
      },
    )
    return found.value as NonNullable<T>
  }

  async #read(response: Response): Promise<void> {
    const decoder = new TextDecoder()
    let text = ''
    try {
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        text += decoder.decode(chunk, { stream: true })
        const blocks = text.split('\n\n')
        text = blocks.pop() ?? ''
        for (const block of blocks) {
          const [, name = ''] = /^event: (.+)$/m.exec(block) ?? []
          const [, data] = /^data: (.+)$/m.exec(block) ?? []
          if (data !== undefined) this.events.push({ name, data: JSON.parse(data) })
        }
      }
    } catch {
      // Ended by either side.
    }
    this.hasEnded = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort()
  }
}

export interface WithDashboard extends AsyncDisposable {
  readonly gateway: Gateway
  readonly page: DashboardClient
}

/** Starts a gateway with a page on a free port. `dashboard` is YAML of more settings, in braces' inside. */
export async function startWithDashboard(
  options: GatewayOptions & { dashboard?: string } = {},
): Promise<WithDashboard> {
  const { dashboard = '', config = '', ...rest } = options
  const more = dashboard === '' ? '' : `, ${dashboard}`
  const text = `dashboard: { listen: '127.0.0.1:0'${more} }\n${config}`
  const gateway = await startGateway({ ...rest, config: text })
  const page = new DashboardClient(await addressOf(gateway))
  return { gateway, page, [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() }
}

/** Where the page of a gateway is, as its log says. */
export function addressOf(gateway: Gateway): Promise<string> {
  return until(() => gateway.process.errors.map(line => /"dashboard":"([^"]+)"/.exec(line)?.[1]).findLast(Boolean), {
    what: () => `the address of the page\n${gateway.log}`,
  })
}
