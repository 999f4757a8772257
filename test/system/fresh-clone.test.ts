/**
 * The README's first command on a fresh machine: a checkout without packages or build, `scripts/start`,
 * and a real subscriber sees this machine's own readings.
 */
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { ROOT } from '../support/gateway.ts'
import { needs } from '../support/needs.ts'
import { Process, run } from '../support/process.ts'
import { until } from '../support/wait.ts'

/** Deadline in ms for `npm ci` and a build. */
const INSTALL = 120_000
/** The issue's promise in ms: from ready to the readings. */
const READINGS = 15_000
/** Where the built-in configuration listens. */
const DEFAULT_PORT = 1883

/** Ports that cannot be had make a test wait for its owner; another one is told to the gateway instead. */
async function taken(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  return await new Promise(resolve => {
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
  }).then(answer => {
    socket.destroy()
    return answer as boolean
  })
}

describe.skipIf(!needs('mosquitto_sub') || !needs('git'))('scripts/start in a fresh clone', () => {
  let clone: string
  beforeAll(async () => {
    clone = await mkdtemp(join(tmpdir(), 'larder-clone-'))
    // What a commit of the working tree would hold, so that the test is of use before the commit too.
    const listed = await run('git', ['ls-files', '-z', '-co', '--exclude-standard'], { cwd: ROOT })
    expect(listed.code).toBe(0)
    const files = listed.lines.join('\n').split('\0').filter(Boolean)
    expect(files).toContain('scripts/start')
    for (const file of files) {
      await mkdir(dirname(join(clone, file)), { recursive: true })
      // A file that was deleted and not yet committed is listed, too.
      await cp(join(ROOT, file), join(clone, file)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error
      })
    }
  })
  afterAll(() => rm(clone, { recursive: true, force: true }))

  test('prints "larder: ready", and this machine\'s own readings come within 15 s', {
    timeout: 2 * INSTALL,
  }, async () => {
    const port = (await taken(DEFAULT_PORT)) ? await freePort() : DEFAULT_PORT
    const env = port === DEFAULT_PORT ? {} : { LARDER_LISTENERS: `mqtt://127.0.0.1:${port}` }
    await using start = new Process(join(clone, 'scripts/start'), [], { cwd: clone, env, group: true })
    await start.line(line => line.startsWith('larder: ready'), { timeout: INSTALL })
    expect(start.errors.join('\n')).not.toMatch(/npm (ERR!|error)/)

    const sub = await run(
      'mosquitto_sub',
      ['-h', '127.0.0.1', '-p', String(port), '-t', '/Home/#', '-C', '3', '-F', '%t %p'],
      { timeout: READINGS },
    )
    expect(sub.code).toBe(0)
    expect(sub.lines).toHaveLength(3)
    console.log(`readings of this machine:\n${sub.lines.map(line => `  ${line}`).join('\n')}`)
    expect(sub.lines.every(line => line.startsWith('/Home/'))).toBe(true)
    // Real ones: at least one of the three is a number, not only a word of availability.
    expect(sub.lines.some(line => /\d/.test(line.slice(line.indexOf(' '))))).toBe(true)

    // The script has become the gateway: what stops a service stops it in good order.
    process.kill(start.pid, 'SIGTERM')
    expect(await start.exit).toEqual({ code: 0, signal: null })
  })

  test('does not install or build a second time', { timeout: INSTALL }, async () => {
    const env = { LARDER_LISTENERS: `mqtt://127.0.0.1:${await freePort()}` }
    await using start = new Process(join(clone, 'scripts/start'), [], { cwd: clone, env, group: true })
    await start.line(line => line.startsWith('larder: ready'))
    expect(start.errors.filter(line => line.startsWith('start:'))).toEqual([])
    // Control-C in a terminal reaches the whole group.
    const { code } = await start.kill('SIGINT')
    expect(code).toBe(0)
    await until(async () => !start.running, { what: 'the end' })
  })
})
