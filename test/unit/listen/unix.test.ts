import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { LarderError } from '../../../src/kernel/errors.ts'
import type { ListenerSettings } from '../../../src/listen/ports.ts'
import { echo, startListener, temporaryFolder } from './support.ts'

async function settings(path = 'mqtt.sock'): Promise<ListenerSettings & { path: string }> {
  return { protocol: 'unix', host: '', port: 0, path: join(await temporaryFolder(), path) }
}

async function client(path: string): Promise<Socket> {
  const socket = connect(path)
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

async function faultOf(given: ListenerSettings): Promise<LarderError> {
  const error = await startListener(given).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(LarderError)
  return error as LarderError
}

describe('a Unix socket', () => {
  test('carries bytes both ways; there is no address to tell', async () => {
    const given = await settings()
    const { listener, connection } = await startListener(given, { onStream: echo })
    expect(listener.address()).toBe(`unix://${given.path}`)
    const socket = await client(given.path)
    socket.write('kitchen')
    expect(String((await once(socket, 'data'))[0])).toBe('kitchen')
    expect((await connection()).details).toEqual({ protocol: 'unix', listener: `unix://${given.path}` })
  })

  test.each([0o600, 0o660, 0o666])('has the mode %o', async socketMode => {
    const given = { ...(await settings()), socketMode }
    await startListener(given)
    expect(statSync(given.path).mode & 0o777).toBe(socketMode)
  })

  test('is for its owner and group when nothing is said', async () => {
    const given = await settings()
    await startListener(given)
    expect(statSync(given.path).mode & 0o777).toBe(0o660)
  })

  test('is gone when the listener has stopped', async () => {
    const given = await settings()
    const { listener } = await startListener(given)
    await listener.stop()
    expect(existsSync(given.path)).toBe(false)
  })

  test('that a killed process left behind is taken over', async () => {
    const given = await settings()
    const left = `require('node:net').createServer().listen(${JSON.stringify(given.path)}, () => process.kill(process.pid, 'SIGKILL'))`
    expect(spawnSync(process.execPath, ['-e', left]).signal).toBe('SIGKILL')
    expect(statSync(given.path).isSocket()).toBe(true)
    await startListener(given, { onStream: echo })
    await client(given.path)
  })

  test('that somebody listens on stays theirs', async () => {
    const given = await settings()
    await startListener(given, { onStream: echo })
    const fault = await faultOf(given)
    expect(fault.code).toBe('LISTEN_IN_USE')
    expect(fault.toLine()).toContain(
      `unix://${given.path}: another program already listens on this socket. Stop that program`,
    )
    await client(given.path)
  })

  test('is not put in the place of a file', async () => {
    const given = await settings()
    await writeFile(given.path, 'precious')
    const fault = await faultOf(given)
    expect([fault.code, fault.message]).toEqual([
      'LISTEN_FAILED',
      `unix://${given.path}: there is a file of this name, and it is not a socket.`,
    ])
    expect(statSync(given.path).size).toBe(8)
  })

  test('whose folder does not exist is refused with what to do', async () => {
    const fault = await faultOf(await settings('no/such/folder/mqtt.sock'))
    expect(fault.code).toBe('LISTEN_FAILED')
    expect(fault.toLine()).toContain('the folder of this socket does not exist. Make the folder')
  })

  test.skipIf(process.getuid?.() === 0)('in a folder where nobody may write is refused with what to do', async () => {
    const folder = join(await temporaryFolder(), 'locked')
    await mkdir(folder)
    await chmod(folder, 0o500)
    const fault = await faultOf({ protocol: 'unix', host: '', port: 0, path: join(folder, 'mqtt.sock') })
    expect(fault.code).toBe('LISTEN_DENIED')
  })
})
