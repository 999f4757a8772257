import { expect, it } from 'vitest'
import { FAULT_INTERVAL_MS, FaultLog } from '../../../src/devices/faults.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { recordingLog } from './recording.ts'

it('logs the first of a kind at once, the rest of a minute in one line', async () => {
  const clock = new ManualClock()
  const { log, lines } = recordingLog()
  const faults = new FaultLog({ log, clock })
  for (let i = 0; i < 1000; i++) faults.report('reading', `bad line ${i}`)
  faults.report('command', 'refused')
  expect(lines).toEqual(['warn bad line 0', 'warn refused'])
  await clock.advance(FAULT_INTERVAL_MS)
  expect(lines.slice(2)).toEqual(['warn bad line 999 (999 more)'])
  faults.report('reading', 'again')
  expect(lines).toHaveLength(3)
  await clock.advance(2 * FAULT_INTERVAL_MS)
  expect(lines.slice(3)).toEqual(['warn again (1 more)'])
  expect(clock.pending).toBe(0)
  faults.report('reading', 'a new episode')
  expect(lines.slice(4)).toEqual(['warn a new episode'])
})

it('tells the rest when it stops, and nothing after', () => {
  const clock = new ManualClock()
  const { log, lines } = recordingLog()
  const faults = new FaultLog({ log, clock })
  faults.report('reading', 'one')
  faults.report('reading', 'two')
  faults.stop()
  faults.report('reading', 'three')
  expect(lines).toEqual(['warn one', 'warn two (1 more)'])
  expect(clock.pending).toBe(0)
})
