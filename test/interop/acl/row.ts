/**
 * The table of what an ACL allows: an ACL file, and rows of who does what with which topic. It is run against `Acl`
 * itself (test/unit/access/acl-table.test.ts), and from outside against Debian's mosquitto, the reference, and the
 * gateway (test/interop/acl.test.ts).
 */

/** `subscribe`: the filter is granted; `receive`: a message with this topic arrives. */
export type Action = 'publish' | 'subscribe' | 'receive'

export interface RowOptions {
  /** What Mosquitto 2.0.11 allows where we deliberately do not do the same, and why. */
  there?: { allows: boolean; why: string }
  /** The filter that is subscribed to for `receive`: '#' unless told otherwise, the topic itself for those with '$'. */
  via?: string
}

/** Client identifier, user name, what it does, topic or filter, whether it is allowed. */
export type Row = readonly [
  id: string,
  userName: string | undefined,
  action: Action,
  topic: string,
  allowed: boolean,
  options?: RowOptions,
]

export interface Group {
  title: string
  /** Lines of the ACL file. */
  acl: readonly string[]
  rows: readonly Row[]
}

/** Without a user name. */
export const NOBODY = undefined

export function describeRow([id, userName, action, topic, , options]: Row, allowed: boolean): string {
  const who = userName === undefined ? `${id} without a name` : `${id} as '${userName}'`
  const via = options?.via === undefined ? '' : ` via ${options.via}`
  return `${who} ${action} ${topic}${via}: ${allowed ? 'allowed' : 'denied'}`
}

/** The filter that a row's message is to arrive by. */
export function filterOf([, , , topic, , options]: Row): string {
  return options?.via ?? (topic.startsWith('$') ? topic : '#')
}
