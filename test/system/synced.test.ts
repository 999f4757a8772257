/**
 * A kill loses only what the process had not written; a pulled plug loses also what the kernel had not
 * yet put on the disk. So this looks at the system calls: between a PUBLISH that somebody who is away waits for and
 * its acknowledgement there must be a sync.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { startGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { Process } from '../support/process.ts'
import { until } from '../support/wait.ts'

/** First bytes of the acknowledgement, as strace prints them. */
const ANSWERS = { 1: '"@\\2', 2: '"P\\2' } as const

describe.skipIf(!needs('strace'))('the disk is synced before', () => {
  test.each([
    ['PUBACK of a message that waits for a subscriber who is away', 1, false, true],
    ['PUBREC of a message that waits for a subscriber who is away', 2, false, true],
    ['PUBACK of a retained message', 1, true, false],
  ] as const)('the %s', async (_, qos, retain, away) => {
    await using gateway = await startGateway({ config: 'name: Test' })
    const { port } = gateway
    if (away) {
      await using sub = await RawClient.connect({ port, clientId: 'away', clean: false })
      await sub.subscribe({ topic: 'synced', qos: 2 })
      await sub.disconnect()
    }
    await using pub = await RawClient.connect({ port })
    const file = join(gateway.folder, 'trace')
    const calls = 'trace=read,readv,recvfrom,write,writev,sendto,sendmsg,fsync,fdatasync'
    await using tracer = new Process('strace', ['-f', '-e', calls, '-o', file, '-p', String(gateway.pid)])
    await until(() => tracer.errors.some(line => line.includes('attached')), { what: () => tracer.transcript() })

    await pub.publish('synced', 'the message', { qos, retain })
    const trace = async (): Promise<string[]> => (await readFile(file, 'utf8')).split('\n')
    const answered = (lines: string[]): number => lines.findIndex(line => line.includes(ANSWERS[qos]))
    const lines = await until(async () => (answered(await trace()) < 0 ? undefined : await trace()), {
      what: 'the acknowledgement in the trace',
    })
    const came = lines.findIndex(line => line.includes('the message'))
    const synced = lines.findIndex((line, index) => index > came && /\b(fsync|fdatasync)(\(| resumed).*= 0$/.test(line))
    expect(came, lines.join('\n')).toBeGreaterThanOrEqual(0)
    expect(synced, lines.join('\n')).toBeGreaterThan(came)
    expect(answered(lines), lines.join('\n')).toBeGreaterThan(synced)
  })
})
