/** `scripts/bench readme`: writes what a report says into the README, docs/performance.md and the chart. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ROOT } from '../../test/support/gateway.ts'
import { chart } from './chart.ts'
import type { Report } from './comparison.ts'
import { OURS, RIVAL } from './contestants.ts'
import { replaceMarked, stretchOf, summaryOf } from './readme.ts'

export async function readmeCommand(args: readonly string[]): Promise<void> {
  parseArgs({ args: [...args] }) // it takes none
  const report = JSON.parse(await readFile(join(ROOT, 'docs/performance.json'), 'utf8')) as Report
  await rewrite('README.md', summaryOf(report))
  await rewrite('docs/performance.md', stretchOf(report))
  await writeFile(join(ROOT, 'docs/performance.svg'), chart(report, { ours: OURS, rival: RIVAL }))
}

async function rewrite(name: string, made: string): Promise<void> {
  const file = join(ROOT, name)
  await writeFile(file, replaceMarked(await readFile(file, 'utf8'), made))
}
