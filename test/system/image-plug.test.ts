/** Ten pulled plugs: what the card's gateway acknowledged is there afterwards, in order, for a client that was away. */
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { BOOT_TIMEOUT, Card, whyNoCard } from '../support/card.ts'
import { faultsOfDelivery, Ledger } from '../support/ledger.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { until } from '../support/wait.ts'

const reason = whyNoCard()
if (reason !== undefined) process.stderr.write(`skipped: pulled plugs of the card, because ${reason}\n`)

const PULLS = 10
/** ms from readiness to a pulled plug, at most. */
const LIVE_UP_TO = 8_000
/** Without a faulty word: the gateway's, the kernel's. */
const FAULT = /"level":[56]0|damaged|EXT4-fs error|I\/O error|Kernel panic|Out of memory|emergency mode/
const SESSION = { clientId: 'away', clean: false, patience: 60_000 }

describe.skipIf(reason !== undefined)('a card', () => {
  test('keeps what was acknowledged', { timeout: (PULLS + 2) * BOOT_TIMEOUT }, async () => {
    await using card = await Card.write('')
    await card.start()
    // Everybody may come in; what waits is bounded by nothing that this test could reach.
    await card.succeed(
      `sed -i 's/^access: .*/access: { allow_anonymous: true }\\nlimits: { max_queued_messages: 10000000 }/' /etc/larder/larder.yaml &&
        sync && systemctl reload larder`,
    )
    const away = await RawClient.connect({ port: card.port, ...SESSION })
    await away.subscribe({ topic: 'ledger/#', qos: 1 })
    await away.disconnect()
    const topicOf = (number: number) => `ledger/${number % 3}`
    const ledger = new Ledger({ clientId: 'ledger', count: Number.MAX_SAFE_INTEGER, window: 20, topicOf })
    const counts: number[] = []
    for (let pull = 0; pull < PULLS; pull++) {
      const [before, life] = [ledger.acknowledged.size, Math.random() * LIVE_UP_TO]
      const running = ledger.run(card.port)
      await until(() => ledger.acknowledged.size > before, { timeout: BOOT_TIMEOUT, what: 'an acknowledgement' })
      await pause(life)
      await card.pull()
      expect(await running).toBe(false)
      counts.push(ledger.acknowledged.size - before)
      await card.start()
      expect(card.console.filter(line => FAULT.test(line))).toEqual([])
    }
    process.stderr.write(
      `acknowledged between pulled plugs: ${counts.join(' ')}; ready after ${card.readyAfter.toFixed(0)} ms\n`,
    )
    await using reader = await RawClient.connect({ port: card.port, ...SESSION })
    const got = () => reader.publishes.map(({ topic, payload }) => ({ topic, number: Number(payload) }))
    const last = [...ledger.acknowledged].at(-1)!
    await until(() => got().some(({ number }) => number === last), {
      timeout: BOOT_TIMEOUT,
      every: 500,
      what: () => `message ${last}; ${reader.publishes.length} came`,
    })
    expect(faultsOfDelivery(got(), ledger.acknowledged, topicOf)).toEqual([])
    expect(await card.succeed('systemctl --failed --plain --no-legend')).toBe('')
  })
})
