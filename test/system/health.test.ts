/**
 * `/healthz` of the built gateway under real faults: a process that stands still, a disk that takes nothing more, listeners
 * that can accept nobody, and (metrics.test.ts) one whose address somebody else has. Each is told while it lasts, and not
 * after.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { startGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { openHandles } from '../support/procfs.ts'
import { until } from '../support/wait.ts'

const MIB = 1024 * 1024
/** ms that the process stands still: longer than it may be behind. */
const STILL = 6_500
/** ms that somebody who looks after the gateway waits for its answer. */
const PATIENCE = 2_000

async function start(options: { config?: string; dataDir?: string } = {}) {
  const url = `http://127.0.0.1:${await freePort()}`
  const { config = '', ...rest } = options
  return { url, gateway: await startGateway({ config: `metrics: { listen: '${url}' }\n${config}`, ...rest }) }
}

async function health(url: string): Promise<string> {
  const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(PATIENCE) })
  return `${response.status} ${await response.text()}`
}

test('a process that stands still does not answer, and says afterwards how long it did', {
  timeout: 30_000,
}, async () => {
  const { gateway, url } = await start()
  await using _ = gateway
  expect(await health(url)).toBe('200 ok\n')
  process.kill(gateway.pid, 'SIGSTOP')
  try {
    await expect(health(url)).rejects.toThrow(/aborted|timeout/)
    await pause(STILL - PATIENCE)
  } finally {
    process.kill(gateway.pid, 'SIGCONT')
  }
  expect(await health(url)).toMatch(/^503 the event loop is \d+ s behind\n$/)
  await until(async () => (await health(url)) === '200 ok\n', { what: 'the gateway to be well again' })
})

test.skipIf(!needs('prlimit'))('listeners that have next to no handles left for connections', async () => {
  const { gateway, url } = await start()
  await using _ = gateway
  const allow = (most: number) => spawnSync('prlimit', ['--pid', `${gateway.pid}`, `--nofile=${most}:`])
  const clients = await Promise.all(Array.from({ length: 200 }, () => RawClient.connect({ port: gateway.port })))
  try {
    expect(await health(url)).toBe('200 ok\n')
    // Enough for who asks, and for what the store opens meanwhile.
    const most = (await openHandles(gateway.pid)).length + 8
    expect(allow(most).status).toBe(0)
    expect(await health(url)).toMatch(
      new RegExp(`^503 \\d+ of ${most} file handles are in use: nobody new can connect until LimitNOFILE`),
    )
    allow(1_024)
    expect(await health(url)).toBe('200 ok\n')
  } finally {
    for (const { socket } of clients) socket.destroy()
  }
})

test('a disk that takes nothing more is told until there is room', { timeout: 60_000 }, async context => {
  const folder = mkdtempSync(join(tmpdir(), 'larder-health-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${48 * MIB}`, 'tmpfs', folder], { stdio: 'ignore' })
  try {
    if (status !== 0) context.skip('mounting is not permitted (run as root)')
    const { gateway, url } = await start({ config: 'store: { min_free: 8MiB }', dataDir: join(folder, 'data') })
    await using _ = gateway
    expect(await health(url)).toBe('200 ok\n')
    const ballast = join(folder, 'ballast')
    spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=64k'], { stdio: 'ignore' })
    // A message that has to be stored is what finds it out.
    await using away = await RawClient.connect({ port: gateway.port, clientId: 'away', clean: false })
    away.subscribe({ topic: 'a', qos: 1 }).catch(() => {})
    await until(async () => /^503 the (store cannot write|disk is nearly full)\n$/.test(await health(url)), {
      what: 'the trouble with the disk',
      timeout: 20_000,
    })
    writeFileSync(ballast, '')
    await until(async () => (await health(url)) === '200 ok\n', { what: 'room', timeout: 20_000 })
  } finally {
    if (status === 0 && spawnSync('umount', [folder]).status !== 0) spawnSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true, force: true })
  }
})
