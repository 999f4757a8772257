/** QEMU's Raspberry Pi 3: the image's own kernel with that board's own description, from the card to the gateway. */
import { describe, expect, test } from 'vitest'
import { BOOT_TIMEOUT, Card, whyNoCard } from '../support/card.ts'

/** Deadline in ms: it has four cores, which take turns where there are fewer, and more devices than `virt`. */
const PI_TIMEOUT = 2 * BOOT_TIMEOUT

const reason = whyNoCard()
if (reason !== undefined) process.stderr.write(`skipped: the card in a Raspberry Pi 3, because ${reason}\n`)

describe.skipIf(reason !== undefined)('a Raspberry Pi 3', () => {
  test('starts from the card', { timeout: 2 * PI_TIMEOUT }, async () => {
    await using card = await Card.write('hostname = pantry\n')
    const machine = card.startPi()
    await machine.line(line => line.includes('Machine model: Raspberry Pi 3 Model B'), { timeout: BOOT_TIMEOUT })
    // Its own driver has read the card, and the last partition has grown.
    await machine.line(line => /larder: the data partition has now \d+ MiB/.test(line), { timeout: BOOT_TIMEOUT })
    await machine.line(line => line.includes('larder: ready'), { timeout: PI_TIMEOUT })
    expect(machine.lines.some(line => /bcm2835-wdt|Broadcom BCM2835 watchdog/.test(line))).toBe(true)
  })
})
