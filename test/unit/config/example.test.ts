import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { load } from './loading.ts'

const file = fileURLToPath(new URL('../../../examples/kitchen.yaml', import.meta.url))

test('the example can be used', () => {
  const result = load({ file, env: { CLOUD_PASSWORD: 'open sesame' } })
  expect(result).toMatchObject({
    config: {
      devices: ['serial', 'serial', 'serial', 'serial', 'gpio', 'gpio', 'gpio', 'file', 'system'].map(kind => ({
        kind,
      })),
      schedules: [{ poll: 'Fridge' }, { publish: { payload: 'ring' } }, { set: { device: 'Hood' } }],
      bridges: [{ url: 'mqtt://broker.example.org:1883', password: 'open sesame' }],
    },
  })
})

test('the example says which variable it needs', () => {
  expect(load({ file })).toMatchObject({ faults: [{ path: 'bridges[0].password' }] })
})
