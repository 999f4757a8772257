import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { discovered } from '../../src/discovered.ts'
import { configOf } from './config/loading.ts'

/** A machine with a 1-Wire thermometer and an expander. */
async function machine() {
  const root = await mkdtemp(join(tmpdir(), 'larder-machine-'))
  onTestFinished(() => rm(root, { recursive: true }))
  const roots = { sysfs: join(root, 'sys'), dev: join(root, 'dev') }
  const write = async (path: string, files: Record<string, string>) => {
    await mkdir(path, { recursive: true })
    for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), `${text}\n`)
  }
  await write(join(roots.sysfs, 'bus/w1/devices/28-0316a2794a2f'), { temperature: '21500', w1_slave: 'YES\nt=21500' })
  await write(join(roots.sysfs, 'class/gpio/gpiochip512'), { label: 'mcp23017', base: '512', ngpio: '16' })
  return roots
}

test('what a device of the configuration uses is marked', async () => {
  const roots = await machine()
  const none = await discovered(configOf('').devices, roots)
  expect([...none.sensors, ...none.chips].map(({ used }) => used)).toEqual([false, false])
  const { devices } = configOf(`devices:
  - { name: a, room: r, file: { one_wire: 28-0316a2794a2f } }
  - { name: b, room: r, gpio: { chip: mcp23017, line: 3, direction: in } }
`)
  const some = await discovered(devices, roots)
  expect([...some.sensors, ...some.chips].map(({ used }) => used)).toEqual([true, true])
  const others = configOf(`devices:
  - { name: a, room: r, file: { one_wire: 28-0316a2794aff } }
  - { name: b, room: r, gpio: { pin: 17, direction: in } }
`)
  const strange = await discovered(others.devices, roots)
  expect([...strange.sensors, ...strange.chips].map(({ used }) => used)).toEqual([false, false])
})
