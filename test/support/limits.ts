/** The limits of a gateway whose owner says nothing of them, some changed, for tests that put a hub together themselves. */
import { loadConfig } from '../../src/config/load.ts'
import type { LimitsConfig } from '../../src/config/schema.ts'

export function testLimits(changed: Partial<LimitsConfig> = {}): LimitsConfig {
  const result = loadConfig({ text: '', env: {}, cwd: '/', checks: { cron: () => undefined } })
  if ('faults' in result) throw new Error('the defaults have faults')
  return { ...result.config.limits, ...changed }
}
