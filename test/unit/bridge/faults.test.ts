import { describe, expect, test } from 'vitest'
import { faultOf } from '../../../src/bridge/faults.ts'

const PLACE = 'cloud.example:1883'

function systemError(code: string): Error {
  // As Node 20 throws it when a name has several addresses: without a message.
  return Object.assign(new AggregateError([], ''), { code })
}

describe('what went wrong upstream', () => {
  test.each<[unknown, string]>([
    [undefined, 'cloud.example:1883 closed the connection'],
    [systemError('ECONNREFUSED'), 'nothing listens at cloud.example:1883'],
    [systemError('ENOTFOUND'), 'the name in cloud.example:1883 is not known'],
    [systemError('EAI_AGAIN'), 'the name in cloud.example:1883 cannot be looked up now: is the network up?'],
    [systemError('EHOSTUNREACH'), 'there is no way to cloud.example:1883: is the network up?'],
    [systemError('ECONNRESET'), 'cloud.example:1883 cut the connection'],
    [new Error('connack timeout'), 'cloud.example:1883 does not answer'],
    [new Error('Keepalive timeout'), 'cloud.example:1883 does not answer any more'],
    [
      Object.assign(new Error('Connection refused: Not authorized'), { code: 5 }),
      'the upstream does not let this client in',
    ],
    [Object.assign(new Error('Connection refused: 99'), { code: 99 }), 'Connection refused: 99'],
    [new Error('Invalid header flag bits'), 'Invalid header flag bits'],
  ])('%s', (error, reason) => {
    expect(faultOf(error, PLACE).reason).toBe(reason)
  })

  test('a refusal says what to do', () => {
    expect(faultOf(Object.assign(new Error(), { code: 4 }), PLACE).hint).toBe('Check "username" and "password".')
  })
})
