/** CVE-2018-12551: a malformed line of a password file let in whoever came with that name. Here it lets nobody in, and says where it is. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { larder, prepareGateway } from '../../support/gateway.ts'
import { RawClient } from '../../support/mqtt-client.ts'
import { until } from '../../support/wait.ts'

const LINES = ['mallory', 'mallory:', 'mallory:$6$', 'mallory:$7$101$', 'mallory:$9$x$y', ':x', 'mallory:plain']

describe('CVE-2018-12551: a malformed line in the password file', () => {
  test.each(LINES)('%s: the gateway does not start', async line => {
    await using gateway = await prepareGateway({ config: 'access: { password_file: passwords }', waitReady: false })
    await writeFile(join(gateway.folder, 'passwords'), `${line}\n`)
    await gateway.start()
    expect((await gateway.exit).code).toBe(1)
    expect(gateway.log).toMatch(/passwords:1\b/)
  })

  test.each(LINES)('%s at a reload: the users from before stay, and it lets nobody in', async line => {
    await using gateway = await prepareGateway({ config: 'access: { password_file: passwords }' })
    const file = join(gateway.folder, 'passwords')
    await larder(['passwd', '-c', '-b', '-H', 'sha512', file, 'anna', 'secret'])
    await gateway.start()
    await writeFile(file, `${line}\n`)
    process.kill(gateway.pid, 'SIGHUP')
    await until(() => gateway.process.errors.some(each => each.includes('not reloaded')), {
      what: 'the fault to be told',
    })
    const { port } = gateway
    for (const password of ['', 'x', 'plain']) {
      await expect(RawClient.connect({ port, username: 'mallory', password })).rejects.toThrow()
    }
    await using _anna = await RawClient.connect({ port, username: 'anna', password: 'secret' })
  })
})
