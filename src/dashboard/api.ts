/**
 * What the page and the gateway say to each other. Only types: both sides import them, and nothing else of each other.
 *
 *   GET    /api/session              Session; never 401
 *   POST   /api/session              Login -> 204 and a cookie, or 401 with Refusal (429 when tried too often)
 *   DELETE /api/session              204
 *   GET    /api/events?of=home,log   text/event-stream: `hello` first, then for each section asked for an event of its
 *                                    name with all of it, then again whenever it has changed (see `Sections`)
 *   GET    /api/history?series=ID    History
 *   GET    /api/config               ConfigView
 *   POST   /api/config/check         ConfigCheck: the file as it is on disk now
 *   GET    /api/discover             Discovery
 *   GET    /api/doctor               Finding[]
 *   GET    /api/dead?bridge=NAME     DeadLetterView[], the oldest 100
 *   GET    /api/backup               a file: configuration and store
 *   POST   /api/restore              that file -> Done; the gateway starts anew with it
 *   POST   /api/<Actions key>        its body -> Done
 *
 * Whatever changes something is a POST or DELETE with `Content-Type: application/json` (restore: octet-stream) from the
 * page's own origin. Every answer that is not 2xx has a Refusal. Times are milliseconds since 1970 on the gateway's wall
 * clock, durations milliseconds, sizes bytes.
 */

/** A sentence for the person, and where there is one, what to do. */
export interface Refusal {
  readonly message: string
  readonly hint?: string
}

export interface Done {
  readonly message: string
}

export interface Session {
  /** False: nobody needs to log in here. */
  readonly needsLogin: boolean
  /** Who is logged in. */
  readonly user?: string
}

export interface Login {
  readonly user: string
  readonly password: string
}

/** First event of each stream, and again when one of these has changed. */
export interface Hello {
  readonly name: string
  readonly version: string
  /** Of the page's files: a page of another build loads itself anew. */
  readonly build: string
  /** Wall time now. */
  readonly now: number
  readonly startedAt: number
  /** False: times may be wrong. */
  readonly clockSynced: boolean
  /** The configuration cannot be used: the gateway does not run, and this page only explains. */
  readonly broken?: readonly ConfigFault[]
  /** Nothing is configured but what is built in: the page shows the way. */
  readonly firstRun: boolean
}

/** Events of the stream, by their names. Each brings all of its section, but `topics`, `removed` and `log`: those add. */
export interface Sections {
  readonly overview: Overview
  readonly home: readonly Room[]
  /** The first ones bring all topics, in parts; later ones what has come since, at most four times a second. */
  readonly topics: readonly TopicState[]
  /** Topics that are gone (with `topics`). */
  readonly removed: readonly string[]
  readonly clients: readonly ClientState[]
  readonly bridges: readonly BridgeView[]
  readonly devices: readonly DeviceView[]
  readonly health: Health
  /** The first one brings the last lines, later ones what has come since. */
  readonly log: readonly LogLine[]
}

export type Section = Exclude<keyof Sections, 'removed'>

/** For the head of every page. */
export interface Overview {
  /** Sentences; empty when all is well. */
  readonly troubles: readonly string[]
  readonly clients: number
  readonly bridges: { readonly all: number; readonly connected: number }
  readonly devices: { readonly all: number; readonly online: number }
  readonly waiting: number
  /** Publications a second, in the last seconds. */
  readonly received: number
  readonly sent: number
}

export interface Room {
  readonly name: string
  readonly things: readonly Thing[]
}

/** A device or a part of one. */
export interface Thing {
  /** Stays the same as long as it is configured. */
  readonly id: string
  readonly name: string
  readonly topic: string
  readonly state: 'starting' | 'online' | 'offline' | 'stale'
  /** Since when. */
  readonly since: number
  /** Why it is offline, where that is known. */
  readonly reason?: string
  /** ms between two readings, as configured or seen; a value older than three of them is stale. Absent: it speaks when it changes. */
  readonly period?: number
  readonly values: readonly ValueView[]
  /** It takes commands on this topic, and these are offered. */
  readonly command?: { readonly topic: string; readonly values: readonly string[] }
}

export interface ValueView {
  /** Empty when the thing has only one. */
  readonly name: string
  readonly value?: number | string | boolean
  /** When it came. */
  readonly at?: number
  readonly unit?: string
  readonly deviceClass?: string
  /** Of its history; absent where there is none. */
  readonly series?: string
  /** The last numbers, oldest first, evenly spaced in time; null where there was none. At most 48. */
  readonly spark?: readonly (number | null)[]
  /** ms between two of them: a minute at first, half an hour when a day is known. */
  readonly sparkStep?: number
}

/** Of one series: at most 24 hours, in points of a minute. */
export interface History {
  readonly unit?: string
  /** Wall time of the first point. */
  readonly start: number
  readonly step: number
  readonly points: readonly (number | null)[]
}

export interface TopicState {
  readonly topic: string
  /** As text; with `base64` where it is none. At most 4 KiB: `size` says how long it is. */
  readonly payload: string
  readonly base64?: true
  readonly size: number
  readonly qos: 0 | 1 | 2
  readonly retained: boolean
  readonly at: number
  /** Messages since the gateway started to look. */
  readonly count: number
}

export interface ClientState {
  readonly id: string
  readonly connected: boolean
  /** Since it is connected, or away; absent of one that has been away since before the gateway started. */
  readonly since?: number
  readonly user?: string
  readonly address?: string
  readonly listener?: string
  /** `3.1`, `3.1.1` or `5`; absent of a session that has been away since the gateway started. */
  readonly version?: string
  readonly keepalive?: number
  readonly clean?: boolean
  /** The first 100. */
  readonly subscriptions: readonly { readonly filter: string; readonly qos: 0 | 1 | 2 }[]
  /** What waits for it, and since when the oldest does. */
  readonly waiting: number
  readonly waitingBytes: number
  readonly oldest?: number
  /** Publications a second, in the last seconds. */
  readonly received: number
  readonly sent: number
}

export interface BridgeView {
  readonly name: string
  readonly address: string
  readonly state: 'connected' | 'connecting' | 'paused' | 'waiting'
  readonly since?: number
  readonly waiting: number
  readonly waitingBytes?: number
  readonly oldest?: number
  /** Messages a second, in the last minute. */
  readonly rateOut: number
  readonly rateIn: number
  readonly sent: number
  readonly received: number
  readonly dead: number
  readonly lastError?: string
  /** While a backlog is worked off. */
  readonly drain?: { readonly done: number; readonly of: number; readonly endsAt?: number }
}

export interface DeadLetterView {
  readonly topic: string
  readonly payload: string
  readonly base64?: true
  readonly size: number
  readonly reason: string
}

export interface DeviceView {
  readonly id: string
  readonly name: string
  readonly room: string
  readonly kind: string
  readonly topic: string
  readonly partOf?: string
  /** Port or pin: `/dev/serial/by-id/…`, `pin 17`. */
  readonly place?: string
  readonly state: 'starting' | 'online' | 'offline' | 'stale'
  readonly since: number
  readonly readings: number
  readonly faults: number
  readonly commands: number
  /** As it came in, as text with what is not printable as `\x1f`. */
  readonly lastFrame?: { readonly at: number; readonly text: string }
  readonly lastFault?: { readonly at: number; readonly reason: string }
}

/** What is plugged in. */
export interface Discovery {
  readonly ports: readonly Found[]
  readonly sensors: readonly Found[]
  readonly chips: readonly Found[]
}

export interface Found {
  readonly what: string
  /** The lines that put it into the configuration. */
  readonly config: string
  /** A device of the configuration uses it. */
  readonly used: boolean
}

export interface Health {
  readonly troubles: readonly string[]
  readonly store: {
    readonly kind: 'leveldb' | 'redis'
    /** How it came up: `new`, `whole`, `repaired`, `rebuilt`, … */
    readonly state: string
    readonly messages: number
    readonly bytes: number
    readonly retained: number
    readonly oldest?: number
    /** ms of acknowledged messages that a power cut may cost; -1 when nothing is promised. */
    readonly lossWindow?: number
    readonly commits: number
    readonly commitMedian?: number
    readonly elided: number
    /** Written to the card since the start, and for each message that came. */
    readonly written: number
    readonly writtenPerMessage?: number
    readonly failures: number
    readonly damaged: number
  }
  readonly disk: { readonly path: string; readonly free: number; readonly size: number }
  /** What listeners and bridges show to others. */
  readonly certificates: readonly {
    readonly of: 'listener' | 'bridge'
    /** The listener's address, the bridge's name. */
    readonly name: string
    readonly expiresAt: number
  }[]
  readonly listeners: readonly { readonly address: string; readonly open: boolean }[]
  readonly process: {
    readonly resident: number
    readonly heap: number
    /** Parts of one core, 0 to 1 and above, in the last seconds. */
    readonly processor: number
    readonly loopDelay: number
    readonly uptime: number
  }
  readonly dropped: Readonly<Record<string, number>>
}

export interface LogLine {
  readonly at: number
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly text: string
}

/** One of the doctor's. */
export interface Finding {
  readonly check: string
  /** What of it: a listener, a port, a bridge. */
  readonly subject?: string
  /** `skip`: it cannot be told here, or not now. */
  readonly state: 'ok' | 'warn' | 'fail' | 'skip'
  readonly cause: string
  readonly mend?: string
}

export interface ConfigFault {
  /** `larder.yaml:12:5` */
  readonly place: string
  readonly message: string
  readonly hint?: string
}

export interface ConfigView {
  /** Absent when there is none and what is built in is used. */
  readonly file?: string
  /** Secrets replaced by dots. */
  readonly text: string
  /** It was changed on disk since it was taken up. */
  readonly changed: boolean
}

export interface ConfigCheck {
  readonly faults: readonly ConfigFault[]
}

/** What the page can have done: POST /api/<key> with this body. */
export interface Actions {
  readonly publish: {
    readonly topic: string
    readonly payload: string
    readonly qos: 0 | 1 | 2
    readonly retain: boolean
  }
  /** Clears what is retained on these topics; the answer is `Cleared`, which undoes it. */
  readonly clear: { readonly topics: readonly string[] }
  /** Puts back what `clear` took away, if nothing newer has come. */
  readonly unclear: { readonly token: string }
  readonly disconnect: { readonly client: string }
  /** Ends a session, with what waits for it. */
  readonly drop: { readonly client: string }
  readonly pause: { readonly bridge: string }
  readonly resume: { readonly bridge: string }
  /** Sends again what the upstream would not take. */
  readonly retry: { readonly bridge: string }
  /** Reads a device now. */
  readonly poll: { readonly device: string }
  readonly reload: Record<string, never>
}

export interface Cleared extends Done {
  /** For `unclear`, for a minute. */
  readonly token: string
}
