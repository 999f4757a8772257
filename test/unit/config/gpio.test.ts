/** `devices[].gpio`: which options mean something together, and what is said of those that do not. */
import { describe, expect, test } from 'vitest'
import { configOf, faultsOf } from './loading.ts'

const device = (gpio: string) => `devices:\n  - name: A\n    room: R\n    gpio: { ${gpio} }\n`

function settings(gpio: string): unknown {
  return configOf(device(gpio)).devices[0]?.settings
}

describe('what an owner may write', () => {
  test.each([
    ['pin: 5, direction: count', { pin: 5, edge: 'rising', perPulse: 1, every: 10_000, save: 300_000, debounce: 20 }],
    [
      'pin: 5, direction: count, per_pulse: 0.01, edge: both, every: 1s, save: 1h',
      { perPulse: 0.01, edge: 'both', every: 1000, save: 3_600_000 },
    ],
    ['chip: gpiochip2, line: 60, direction: in, pull: up', { chip: 'gpiochip2', pin: 60, pull: 'up' }],
    ['chip: mcp23017, line: 0, direction: out', { chip: 'mcp23017', pin: 0 }],
    ['pin: 5, direction: out, pulse: 500ms', { pulse: 500, atStop: 'keep' }],
    ['pin: 5, direction: out, at_stop: off', { atStop: 'off' }],
    ['pin: 5, direction: out, at_stop: on', { atStop: 'on' }],
    ['pin: 5, direction: out, at_stop: keep', { atStop: 'keep' }],
    ['pin: 5, direction: in, edge: falling, driver: gpiod', { edge: 'falling', driver: 'gpiod' }],
  ])('%s', (gpio, expected) => {
    expect(settings(gpio)).toMatchObject(expected)
  })
})

describe('what is refused', () => {
  test.each([
    ['direction: in', '4:11: devices[0].gpio.pin: is required, such as pin: 17'],
    ['line: 3, direction: in', '4:11: devices[0].gpio.chip: is required with line, such as chip: gpiochip2'],
    [
      'pin: 3, line: 3, chip: c, direction: in',
      '4:13: devices[0].gpio.pin: is a line of a chip already; a pin is on the header',
    ],
    [
      'pin: 3, chip: c, direction: in',
      '4:21: devices[0].gpio.chip: needs the line on that chip, such as line: 3, in place of pin',
    ],
    ['pin: 3, direction: in, pulse: 1s', '4:36: devices[0].gpio.pulse: belongs to direction: out'],
    ['pin: 3, direction: in, at_stop: off', '4:36: devices[0].gpio.at_stop: belongs to direction: out'],
    ['pin: 3, direction: out, edge: both', '4:37: devices[0].gpio.edge: belongs to direction: in or count'],
    ['pin: 3, direction: out, pull: up', '4:37: devices[0].gpio.pull: belongs to direction: in or count'],
    ['pin: 3, direction: in, per_pulse: 2', '4:36: devices[0].gpio.per_pulse: belongs to direction: count'],
    ['pin: 3, direction: count, per_pulse: 0', '4:50: devices[0].gpio.per_pulse: must be more than 0'],
    ['pin: 3, direction: count, per_pulse: -1', '4:50: devices[0].gpio.per_pulse: must be more than 0'],
    [
      'pin: 3, direction: out, pulse: 1s, initial: on',
      '4:48: devices[0].gpio.initial: with a pulse the output begins off: take this out',
    ],
    [
      'pin: 3, direction: out, at_stop: kep',
      "4:46: devices[0].gpio.at_stop: must be keep, on or off; found the text 'kep'; did you mean 'keep'?",
    ],
  ])('%s', (gpio, fault) => {
    expect(faultsOf(device(gpio))).toEqual([fault])
  })
})
