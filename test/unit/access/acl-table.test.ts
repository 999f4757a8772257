/** The table of what an ACL allows (test/interop/acl), asked of `Acl` itself. */
import { describe, expect, test } from 'vitest'
import { parseAcl } from '../../../src/access/acl-file.ts'
import { PATTERNS } from '../../interop/acl/patterns.ts'
import { describeRow } from '../../interop/acl/row.ts'
import { RULES } from '../../interop/acl/rules.ts'

const GROUPS = [...RULES, ...PATTERNS]

describe.each(GROUPS)('$title', ({ acl: lines, rows }) => {
  const read = parseAcl(lines.join('\n'), 'acl')
  test.each(rows.map(row => ({ row, what: describeRow(row, row[4]) })))('$what', ({ row }) => {
    if ('faults' in read) throw new Error(JSON.stringify(read.faults))
    const [id, userName, action, topic, allowed] = row
    const client = { id, userName }
    const ask = { publish: 'mayPublish', subscribe: 'maySubscribe', receive: 'mayReceive' } as const
    expect(read.acl[ask[action]](client, topic)).toBe(allowed)
  })
})

test('the table is long, and has as much that is denied', () => {
  const rows = GROUPS.flatMap(group => group.rows)
  expect(rows.length).toBeGreaterThanOrEqual(150)
  expect(rows.filter(row => row[4]).length).toBeGreaterThan(80)
  expect(rows.filter(row => !row[4]).length).toBeGreaterThan(80)
})
