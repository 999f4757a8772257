/** MQTT 3.1.1: the statements that a client cannot see kept or broken, and why. */
import type { Row } from '../rig/format.ts'

const CLIENT = 'it binds the client alone, and a server cannot tell whether it is kept'

export const UNOBSERVABLE: readonly Row[] = [
  { clause: ['MQTT-2.3.1-2', 'MQTT-2.3.1-3'], notObservable: `${CLIENT}; what binds the server is MQTT-2.3.1-4` },
  { clause: ['MQTT-3.1.2-23'], notObservable: `${CLIENT}; what a server does about silence is MQTT-3.1.2-24` },
  {
    clause: ['MQTT-3.2.2-6'],
    notObservable: 'it is about refusals that no return code fits, and a client is not told why it was refused',
  },
  {
    clause: ['MQTT-3.8.3-2'],
    notObservable: 'it binds only servers without wildcards; that ours has them is MQTT-4.7.1-2 and -3',
  },
  {
    clause: ['MQTT-3.14.4-1', 'MQTT-3.14.4-2'],
    notObservable: `${CLIENT}: it is about what it does after DISCONNECT, when the server has closed as well`,
  },
  { clause: ['MQTT-4.5.0-2'], notObservable: `${CLIENT}: it is about messages its application does not want` },
  {
    clause: ['MQTT-4.6.0-1', 'MQTT-4.6.0-2', 'MQTT-4.6.0-3', 'MQTT-4.6.0-4'],
    notObservable: `${CLIENT}; that the server keeps to the same is MQTT-4.6.0-6`,
  },
  { clause: ['MQTT-4.8.0-2'], notObservable: 'a client cannot make a server run into a transient error' },
  { clause: ['MQTT-6.0.0-3'], notObservable: `${CLIENT}; what the server answers is MQTT-6.0.0-4` },
  {
    clause: ['MQTT-7.0.0-1'],
    notObservable:
      'it is about the bridge in its role as a client of other servers, which the tests of the bridge show',
  },
  { clause: ['MQTT-7.0.0-2'], notObservable: 'it forbids needing more than the standard; these tables need no more' },
  { clause: ['MQTT-7.1.2-1'], notObservable: CLIENT },
]
