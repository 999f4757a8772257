/**
 * The image is made a second time by somebody else: in another folder, with other rights for new files, in another time zone,
 * on one core, and compressed as it is given away. What comes out of that must be the image that is there, byte for byte.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { image, whyNoCard } from '../support/card.ts'
import { ROOT } from '../support/gateway.ts'
import { run } from '../support/process.ts'

const reason = whyNoCard()
if (reason !== undefined) process.stderr.write(`skipped: the bytes of the card, because ${reason}\n`)

/** Deadline in ms, with Debian at hand; compressing on one core takes half of what it needs. */
const MAKING = 1_800_000
const SOMEBODY = 'umask 077 && exec taskset -c 0 scripts/image --out "$0"'
/** Says the first byte that differs. */
const COMPARE = 'cd "$0" && sha256sum --quiet -c SHA256SUMS && xz -dc ./*.img.xz | cmp - "$1"'

describe.skipIf(reason !== undefined)('the image', () => {
  test('has the same bytes whoever makes it, and comes whole out of its archive', { timeout: 2 * MAKING }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'larder-bytes-'))
    try {
      const env = { TZ: 'Pacific/Auckland', TMPDIR: folder }
      const made = await run('sh', ['-c', SOMEBODY, join(folder, 'out')], { cwd: ROOT, env, timeout: MAKING })
      expect(made, made.errors.join('\n')).toMatchObject({ code: 0 })
      process.stderr.write(`${made.lines.join('\n')}\n`)
      const compared = await run('sh', ['-c', COMPARE, join(folder, 'out'), image()!], { timeout: MAKING })
      expect(compared).toMatchObject({ code: 0, lines: [], errors: [] })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
