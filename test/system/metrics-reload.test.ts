/** Who may read the metrics of the built gateway, what a reload takes up of that, and what they say of certificates and sensors. */
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Authority } from '../support/certificates.ts'
import { freePort } from '../support/free-port.ts'
import { larder, prepareGateway } from '../support/gateway.ts'
import { until } from '../support/wait.ts'

const TOKEN = 'abcdefghijklmnop-0123'
const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

async function get(url: string, authorization?: string) {
  const response = await fetch(url, authorization === undefined ? {} : { headers: { authorization } })
  return { status: response.status, asked: response.headers.get('www-authenticate'), text: await response.text() }
}

/** A gateway whose configuration is still to be written, with Ann in its password file. */
async function house() {
  const gateway = await prepareGateway({ config: 'log: { format: json }' })
  const passwords = join(gateway.folder, 'passwords')
  await larder(['passwd', '-c', '-b', '-H', 'sha512', passwords, 'ann', 'open sesame'])
  const write = (text: string) =>
    writeFile(
      join(gateway.folder, 'larder.yaml'),
      `data_dir: '${gateway.dataDir}'\nlisteners:\n  - mqtt://127.0.0.1:${gateway.port}\n${text}\n`,
    )
  const reload = async (text: string) => {
    await write(text)
    return larder(['reload', '--data-dir', gateway.dataDir])
  }
  return { gateway, write, reload }
}

describe('who may read', () => {
  test('is somebody with a password or the token; a supervisor needs neither', async () => {
    const { gateway, write } = await house()
    await using _ = gateway
    const url = `http://127.0.0.1:${await freePort()}`
    // More than any disk has: the gateway has something to tell.
    await write(
      `store: { min_free: 1024GiB }\nmetrics: { listen: '${url}', password_file: passwords, bearer_token: ${TOKEN} }`,
    )
    await gateway.start()
    expect(await get(`${url}/metrics`)).toMatchObject({
      status: 401,
      asked: 'Basic realm="larder", charset="UTF-8", Bearer realm="larder"',
    })
    for (const wrong of [basic('ann', 'wrong'), basic('bob', 'open sesame'), `Bearer ${TOKEN}x`, 'Digest x']) {
      expect((await get(`${url}/metrics`, wrong)).status).toBe(401)
    }
    for (const right of [basic('ann', 'open sesame'), `Bearer ${TOKEN}`]) {
      const { status, text } = await get(`${url}/metrics`, right)
      expect([status, text.includes('larder_build_info')]).toEqual([200, true])
      expect(await get(`${url}/healthz`, right)).toMatchObject({ status: 503, text: 'the disk is nearly full\n' })
    }
    expect(await get(`${url}/healthz`)).toMatchObject({ status: 503, text: 'not well\n' })
    expect((await get(`${url}/healthz`, basic('ann', 'wrong'))).status).toBe(401)
    // Whoever guesses here has guessed, and what was given is nowhere told.
    for (let i = 0; i < 8; i++) await get(`${url}/metrics`, basic('ann', `secret-guess-${i}`))
    await until(() => gateway.stderr.includes('logins from this address fail again and again'), { what: 'the warning' })
    expect(gateway.log).not.toMatch(/secret-guess|open sesame|abcdefghijklmnop/)
  })
})

describe('a reload', () => {
  test('takes up another address, users, a token, an interval, and none', async () => {
    const { gateway, write, reload } = await house()
    await using _ = gateway
    const [one, two] = [await freePort(), await freePort()].map(port => `http://127.0.0.1:${port}`)
    await write(`metrics: { listen: '${one}' }`)
    await gateway.start()
    expect((await get(`${one}/metrics`)).status).toBe(200)
    expect(await reload(`metrics: { listen: '${one}', password_file: passwords }`)).toMatchObject({ code: 0 })
    expect((await get(`${one}/metrics`)).status).toBe(401)
    expect((await get(`${one}/metrics`, basic('ann', 'open sesame'))).status).toBe(200)
    // The password is another one: who was let in with the old one is not any more.
    await larder(['passwd', '-b', '-H', 'sha512', join(gateway.folder, 'passwords'), 'ann', 'close sesame'])
    expect((await reload(`metrics: { listen: '${one}', password_file: passwords }`)).lines).toEqual([
      'larder: reloaded',
    ])
    expect((await get(`${one}/metrics`, basic('ann', 'open sesame'))).status).toBe(401)
    expect((await get(`${one}/metrics`, basic('ann', 'close sesame'))).status).toBe(200)
    await reload(`metrics: { listen: '${two}', bearer_token: ${TOKEN} }`)
    expect((await get(`${two}/metrics`, `Bearer ${TOKEN}`)).status).toBe(200)
    await expect(get(`${one}/metrics`)).rejects.toThrow('fetch failed')
    // The same port at another address: the old one goes first.
    const all = two?.replace('127.0.0.1', '0.0.0.0')
    await reload(`metrics: { listen: '${all}', allow_anonymous: true }`)
    expect((await get(`${two}/metrics`)).status).toBe(200)
    // An address that is not ours is found out too late for that: it is said, and there is a way back.
    const { port } = new URL(`${two}`)
    await reload(`metrics: { listen: 'http://192.0.2.1:${port}', allow_anonymous: true }`)
    await expect(get(`${two}/metrics`)).rejects.toThrow('fetch failed')
    const said = async () => (await larder(['status', '--data-dir', gateway.dataDir])).lines.join('\n')
    expect(await said()).toMatch(/^health +metrics are not served: http:\/\/192\.0\.2\.1:\d+: .*EADDRNOTAVAIL/m)
    await reload(`metrics: { listen: '${two}' }`)
    expect((await get(`${two}/metrics`)).status).toBe(200)
    expect(await said()).toMatch(/^health +ok$/m)
    await reload('metrics: { sys_interval: 0 }')
    await expect(get(`${two}/metrics`)).rejects.toThrow('fetch failed')
    expect(await said()).toMatch(/^health +ok$/m)
  })

  test('changes nothing when something of it cannot be', async () => {
    const { gateway, write, reload } = await house()
    await using _ = gateway
    const url = `http://127.0.0.1:${await freePort()}`
    const taken = createServer()
    await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve))
    const { port: other } = taken.address() as { port: number }
    await using __ = { [Symbol.asyncDispose]: async () => void taken.close() }
    await write(`metrics: { listen: '${url}' }`)
    await gateway.start()
    const fresh = await freePort()
    const elsewhere = `http://127.0.0.1:${fresh}`
    const refused = [
      [
        `metrics: { listen: 'http://127.0.0.1:${other}' }`,
        `LISTEN_IN_USE: another program listens at http://127.0.0.1:${other} already`,
      ],
      [`metrics: { listen: '${elsewhere}', password_file: nobody }`, 'the password file'],
      // A listener that cannot be: then the metrics do not move either.
      [`metrics: { listen: '${elsewhere}' }\naccess: { acl_file: nothing }`, 'acl_file'],
    ] as const
    for (const [text, why] of refused) {
      const { code, errors } = await reload(text)
      expect([code, errors.join('\n')]).toEqual([1, expect.stringContaining(why)])
      expect(errors.at(-1)).toBe('larder: not reloaded: the configuration in force goes on')
      expect((await get(`${url}/metrics`)).status).toBe(200)
      await expect(get(`${elsewhere}/metrics`)).rejects.toThrow('fetch failed')
    }
  })
})

test('certificates with their end, sensors with what they said last', async () => {
  const { gateway, write } = await house()
  await using _ = gateway
  const [secure, http] = [await freePort(), await freePort()]
  const authority = await Authority.make(gateway.folder, 'ca')
  const shown = await authority.server({ days: 40 })
  const mine = await authority.issue({ days: 20 })
  await writeFile(join(gateway.folder, 'probe'), '71.6\n')
  await write(
    `  - { url: 'mqtts://127.0.0.1:${secure}', tls: { cert: '${shown.cert}', key: '${shown.key}' } }
bridges:
  - { name: cloud, url: 'mqtts://127.0.0.1:9', tls: { cert: '${mine.cert}', key: '${mine.key}' }, out: [{ filter: a }] }
devices:
  - { name: Probe, room: Cellar, unit: '°F', device_class: temperature, file: { path: probe, every: 100ms } }
metrics: { listen: 'http://127.0.0.1:${http}' }
`,
  )
  await gateway.start()
  const day = 86_400
  const read = async () => (await get(`http://127.0.0.1:${http}/metrics`)).text
  const text = await until(
    async () => {
      const said = await read()
      return /^larder_sensor_temperature_celsius\{room="Cellar",sensor="Probe"\} 22$/m.test(said) && said
    },
    { what: 'the reading' },
  )
  const now = Date.now() / 1000
  const ends = (of: string, name: string) =>
    Number(
      new RegExp(`^larder_certificate_not_after_timestamp_seconds\\{of="${of}",name="${name}"\\} (\\d+)$`, 'm').exec(
        text,
      )?.[1],
    )
  expect((ends('listener', `mqtts://127.0.0.1:${secure}`) - now) / day).toBeCloseTo(40, 0)
  expect((ends('bridge', 'cloud') - now) / day).toBeCloseTo(20, 0)
  const heard = Number(
    /^larder_sensor_last_update_timestamp_seconds\{room="Cellar",sensor="Probe"\} (\S+)$/m.exec(text)?.[1],
  )
  expect(Math.abs(now - heard)).toBeLessThan(10)
})
