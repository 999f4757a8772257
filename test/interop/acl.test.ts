/**
 * The table of what an ACL allows, from outside: against Debian's mosquitto, which shows that what we expect is what
 * owners are used to, and against the gateway. Where we deliberately differ from 2.0.11, the row says so.
 */
import { describe, expect, test } from 'vitest'
import { needs } from '../support/needs.ts'
import { observe } from './acl/observe.ts'
import { PATTERNS } from './acl/patterns.ts'
import { larderLacks, type StartAclBroker, startLarderWith, startMosquittoWith } from './acl/rigs.ts'
import { describeRow, type Group, type Row } from './acl/row.ts'
import { RULES } from './acl/rules.ts'

const GROUPS = [...RULES, ...PATTERNS]
const lacking = larderLacks()
if (lacking !== undefined) process.stderr.write(`skipped: the ACL table against the gateway, because ${lacking}\n`)

/** Mosquitto grants every subscription, and checks each message. */
function allowedThere([, , action, , allowed, options]: Row): boolean {
  return action === 'subscribe' || (options?.there?.allows ?? allowed)
}

async function compare(start: StartAclBroker, group: Group, expected: (row: Row) => boolean): Promise<void> {
  await using broker = await start(group.acl)
  const seen = await observe(broker.port, group)
  expect(group.rows.map(row => describeRow(row, seen.get(row) === true))).toEqual(
    group.rows.map(row => describeRow(row, expected(row))),
  )
}

describe.skipIf(!needs('mosquitto'))("Debian's mosquitto", () => {
  test.each(GROUPS)('$title', group => compare(startMosquittoWith, group, allowedThere))
})

describe.skipIf(lacking !== undefined)('the gateway', () => {
  test.each(GROUPS)('$title', group => compare(startLarderWith, group, row => row[4]))
})
