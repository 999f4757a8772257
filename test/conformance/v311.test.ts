/** MQTT 3.1.1, statement by statement. The format of the tables is at the top of `rig/format.ts`. */
import { conformance } from './rig/suite.ts'
import { CONNECT } from './v311/connect.ts'
import { FLOWS } from './v311/flows.ts'
import { ORDER } from './v311/order.ts'
import { PACKETS } from './v311/packets.ts'
import { PUBLISH } from './v311/publish.ts'
import { RETAINED } from './v311/retained.ts'
import { SESSIONS } from './v311/sessions.ts'
import { STRINGS } from './v311/strings.ts'
import { SUBSCRIBE, UNSUBSCRIBE } from './v311/subscribe.ts'
import { TOPICS } from './v311/topics.ts'
import { UNOBSERVABLE } from './v311/unobservable.ts'
import { WEBSOCKET } from './v311/websocket.ts'
import { WILL } from './v311/will.ts'

conformance({
  name: 'MQTT 3.1.1',
  version: 4,
  clauses: 'clauses-311.tsv',
  chapters: {
    '1.5.3 strings': STRINGS,
    '2 and 4.8 packets': PACKETS,
    '3.1 CONNECT': CONNECT,
    '3.1.2 wills': WILL,
    '3.1.2, 3.2, 4.1 sessions': SESSIONS,
    '3.3 PUBLISH': PUBLISH,
    '3.3.1 retained messages': RETAINED,
    '3.8 SUBSCRIBE': SUBSCRIBE,
    '3.10 UNSUBSCRIBE': UNSUBSCRIBE,
    '4.3 and 4.4 flows': FLOWS,
    '4.6 order': ORDER,
    '4.7 topics': TOPICS,
    '6 WebSocket': WEBSOCKET,
    'not observable': UNOBSERVABLE,
  },
})
