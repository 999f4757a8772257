/**
 * The Dockerfile, instruction by instruction in folders of Debian, and the container that comes of it: as docker-compose.yml
 * runs it, with the root read-only and the variables of a fleet.
 *
 * Takes a minute or two and fetches packages: only where `scripts/test pi` asks for it.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { whyNoDebianRoot, whyNotFetched } from '../support/debian-root.ts'
import { buildImage, type Image, removeImage, slimArchive } from '../support/dockerfile.ts'
import { freePort } from '../support/free-port.ts'
import { ROOT } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { Process } from '../support/process.ts'
import { until } from '../support/wait.ts'

const reason =
  process.env.LARDER_TEST_PACKAGE === undefined
    ? 'scripts/test pi runs them'
    : (whyNoDebianRoot() ?? (await whyNotFetched(() => slimArchive('trixie'))))
if (reason !== undefined) process.stderr.write(`skipped: tests of the Dockerfile, because ${reason}\n`)

/** Deadline in ms: Debian, a compiler and npm's packages are fetched. */
const BUILDING = 600_000

describe.skipIf(reason !== undefined)('the Dockerfile', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'larder-docker-'))
  const data = join(folder, 'data')
  let image: Image

  beforeAll(() => {
    image = buildImage(ROOT, folder)
    execFileSync('cp', ['-a', `${image.root}/data`, data])
  }, BUILDING)

  afterAll(() => removeImage(folder), BUILDING)

  /** The container's command, on this machine's network. */
  function start(env: Record<string, string>, command = [...image.entrypoint, ...image.cmd]): Process {
    const script = join(ROOT, 'test/support/run-image.sh')
    const words = Object.entries({ ...image.env, ...env }).map(([key, value]) => `${key}=${value}`)
    const inside = ['env', '-i', `--chdir=${image.workdir}`, ...words, ...command]
    return new Process(
      'unshare',
      ['--mount', '--pid', '--fork', '--kill-child', 'sh', script, image.root, data, ...inside],
      { group: true },
    )
  }

  test('leaves no compiler, no sources, no tools', () => {
    for (const path of ['usr/bin/gcc', 'usr/bin/python3', 'opt/larder/src', 'opt/larder/node_modules/typescript']) {
      expect(existsSync(join(image.root, path)), path).toBe(false)
    }
    const bytes = Number(
      execFileSync('du', ['-sb', join(image.root, 'opt/larder')])
        .toString()
        .split('\t')[0],
    )
    process.stderr.write(`the container's /opt/larder has ${(bytes / 1e6).toFixed(1)} MB\n`)
    expect(bytes).toBeLessThan(25e6)
    expect(existsSync(join(image.root, 'opt/larder/node_modules/epoll/build/Release/epoll.node'))).toBe(true)
  })

  test('says itself what is missing, when nobody may come in', async () => {
    await using refused = start({})
    expect(await refused.exit).toMatchObject({ code: 1 })
    expect(refused.errors.join('\n')).toMatch(/password_file|allow_anonymous/)
  })

  test('configured by the variables of a fleet it serves, healthy and without any privilege', async () => {
    const [port, metrics] = [await freePort(), await freePort()]
    const env = {
      LARDER_ALLOW_ANONYMOUS: 'true',
      LARDER_LISTENERS: `mqtt://0.0.0.0:${port}`,
      LARDER_METRICS_LISTEN: `http://127.0.0.1:${metrics}`,
      LARDER_DASHBOARD_LISTEN: 'off',
      LARDER_NAME: 'Fleet',
    }
    const isReady = (process: Process) => () => process.lines.some(line => line.startsWith('larder: ready'))
    const options = (process: Process) => ({ timeout: 60_000, what: () => process.transcript() })
    {
      await using gateway = start(env)
      await until(isReady(gateway), options(gateway))
      const pid = childOf(gateway.pid)
      const status = readFileSync(`/proc/${pid}/status`, 'utf8')
      const uid = execFileSync('chroot', [image.root, 'id', '-u', 'larder']).toString().trim()
      expect(status).toMatch(new RegExp(`^Uid:\\s${uid}\\s${uid}\\s`, 'm'))
      for (const set of ['CapPrm', 'CapEff', 'CapBnd']) expect(status).toMatch(new RegExp(`^${set}:\\s0+$`, 'm'))
      expect(status).toMatch(/^NoNewPrivs:\s1$/m)
      const healthy = () =>
        spawnSync(
          'chroot',
          [image.root, 'env', ...Object.entries(env).map(pair => pair.join('=')), ...image.healthcheck],
          { timeout: 20_000 },
        ).status
      expect(healthy()).toBe(0)
      await using client = await RawClient.connect({ port })
      await client.publish('kept', 'here', { qos: 1, retain: true })
      process.kill(pid, 'SIGTERM')
      expect((await gateway.exit).code).toBe(0)
      expect(healthy()).not.toBe(0)
    }
    await using again = start(env)
    await until(isReady(again), options(again))
    await using client = await RawClient.connect({ port })
    await client.subscribe({ topic: 'kept', qos: 1 })
    await until(() => client.publishes.length > 0, { what: 'the retained message of the container before' })
    expect(String(client.publishes[0]!.payload)).toBe('here')
  })
})

function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim())
}
