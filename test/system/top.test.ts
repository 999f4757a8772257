/** `larder top` on a gateway with clients: plain lines for a file, a screen on a terminal, which it leaves as it was. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Gateway, larder, ROOT, startGateway } from '../support/gateway.ts'
import { needs } from '../support/needs.ts'
import { pub } from '../support/pub.ts'
import { startSub } from '../support/sub.ts'
import { until, within } from '../support/wait.ts'

const CONFIG = `
bridges: [{ name: cloud, url: 'mqtt://127.0.0.1:1', out: [{ filter: 'never/#' }] }]
devices: [{ name: Health, room: Test, system: {} }]`

const topOf = (gateway: Gateway, ...args: string[]) => ['top', '-c', join(gateway.folder, 'larder.yaml'), ...args]

test.skipIf(!needs('mosquitto_sub'))('two looks, as lines: what there is, and how fast it goes on', async () => {
  await using gateway = await startGateway({ config: CONFIG })
  const { port } = gateway
  await using reader = await startSub({ port, topics: ['a/#'], clientId: 'reader', qos: 1 })
  await pub(
    Array.from({ length: 500 }, (_, i) => `${i}`),
    { port, topic: 'a/b', qos: 1 },
  )
  await reader.received(500)
  const { code, lines, errors } = await larder(topOf(gateway, '-n', '2', '-i', '0.3'), { timeout: 30_000 })
  expect([code, errors]).toEqual([0, []])
  const screens = lines.join('\n').split(/^(?=larder )/m)
  expect(screens).toHaveLength(2)
  for (const screen of screens) {
    expect(screen).toMatch(/^larder \S+, up \d+ s: ok$/m)
    expect(screen).toMatch(/^clients {4}1 connected, 0 away/m)
    expect(screen).toMatch(/^bridge {5}cloud: NOT CONNECTED, 0 wait/m)
    expect(screen).toMatch(/^devices {4}1 of 1 online$/m)
  }
  // Since the start many a second; between the looks nothing came.
  const rate = /^messages +([\d,.]+)\/s in, ([\d,.]+)\/s out/m
  expect(Number(rate.exec(screens[0] ?? '')?.[1]?.replace(',', ''))).toBeGreaterThan(1)
  expect(rate.exec(screens[1] ?? '')?.[1]).toBe('0')
  expect(screens[0]).toMatch(/^ +0\/s +[\d,.]+\/s +reader$/m)
})

test.each([
  [['-i', '0'], 'interval'],
  [['-i', 'often'], 'interval'],
  [['-n', '0'], 'count'],
])('%j is not understood', async (args, what) => {
  const { code, lines, errors } = await larder(['top', ...args])
  expect([code, lines]).toEqual([2, []])
  expect(errors.join()).toContain(what)
})

test('no gateway: said, with exit status 1', async () => {
  const { code, errors } = await larder(['top', '--data-dir', '/nowhere/larder'])
  expect(code).toBe(1)
  expect(errors.join('\n')).toMatch(/^larder: NOT_RUNNING: /)
})

const SHOWN = '\x1b[?1049h\x1b[?25l'
const GONE = '\x1b[?25h\x1b[?1049l'

test.skipIf(!needs('script')).each([
  ['q', 'q'],
  ['Ctrl-C', '\x03'],
])('on a terminal: a screen that changes in place, until %s; then the terminal is as it was', async (_, key) => {
  await using gateway = await startGateway({ config: 'name: Test' })
  const words = [process.execPath, join(ROOT, 'dist/larder.js'), ...topOf(gateway, '-i', '0.2')]
  // What the terminal is set to is asked before and after.
  const command = `stty rows 24 cols 60; stty -a > ${gateway.folder}/before; ${words.map(word => `'${word}'`).join(' ')}; echo "status $?"; stty -a > ${gateway.folder}/after; cmp ${gateway.folder}/before ${gateway.folder}/after && echo same`
  const terminal = spawn('script', ['-qfec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] })
  let seen = ''
  terminal.stdout.on('data', chunk => {
    seen += chunk
  })
  const ended = once(terminal, 'exit')
  try {
    await until(() => seen.split('\x1b[H').length > 3, { what: () => `three screens; seen: ${JSON.stringify(seen)}` })
    expect(seen).toContain(SHOWN)
    terminal.stdin.write(key)
    await within(ended, { what: () => `the end of larder top; seen: ${JSON.stringify(seen.slice(-500))}` })
  } finally {
    terminal.kill('SIGKILL')
  }
  const [screens = '', after = ''] = seen.slice(seen.indexOf(SHOWN) + SHOWN.length).split(GONE)
  const frames = screens
    .split('\x1b[H')
    .slice(1)
    .map(frame => frame.replaceAll('\x1b[K', '').replaceAll('\x1b[J', '').split('\r\n'))
  for (const frame of frames) {
    expect(frame[0]).toMatch(/^larder \S+, up .*: ok/)
    expect(frame.length).toBeLessThanOrEqual(24)
    expect(Math.max(...frame.map(line => line.length))).toBeLessThanOrEqual(60)
  }
  expect(after).toMatch(/status 0\r\nsame/)
})
