import type { Standard } from './rig/format.ts'
import { conformance } from './rig/suite.ts'
import { ALIASES } from './v5/aliases.ts'
import { AUTH } from './v5/auth.ts'
import { CLIENT_IDENTIFIER } from './v5/client-identifier.ts'
import { CONNACK } from './v5/connack.ts'
import { CONNECT } from './v5/connect.ts'
import { DELIVERY } from './v5/delivery.ts'
import { ENDS, TRANSPORT } from './v5/ends.ts'
import { FLOW } from './v5/flow.ts'
import { KEEP_ALIVE } from './v5/keep-alive.ts'
import { MESSAGE } from './v5/message.ts'
import { IDENTIFIERS, OPTIONS } from './v5/options.ts'
import { PACKETS } from './v5/packets.ts'
import { PROPERTIES } from './v5/properties.ts'
import { PUBLISH, RETAINED } from './v5/publish.ts'
import { SESSIONS } from './v5/sessions.ts'
import { SHARED } from './v5/shared.ts'
import { SIZE } from './v5/size.ts'
import { STRINGS } from './v5/strings.ts'
import { SUBSCRIBE, UNSUBSCRIBE } from './v5/subscribe.ts'
import { TOPICS } from './v5/topics.ts'
import { WILLS } from './v5/will.ts'

const STANDARD: Standard = {
  name: 'MQTT 5.0',
  version: 5,
  clauses: 'clauses-5.tsv',
  chapters: {
    'strings and numbers': STRINGS,
    packets: PACKETS,
    properties: PROPERTIES,
    CONNECT,
    'client identifier': CLIENT_IDENTIFIER,
    'keep alive': KEEP_ALIVE,
    CONNACK,
    sessions: SESSIONS,
    will: WILLS,
    PUBLISH,
    'retained messages': RETAINED,
    'properties of messages': MESSAGE,
    'topic aliases': ALIASES,
    'flow control': FLOW,
    'packet size': SIZE,
    SUBSCRIBE,
    UNSUBSCRIBE,
    'subscription options': OPTIONS,
    'subscription identifiers': IDENTIFIERS,
    'shared subscriptions': SHARED,
    delivery: DELIVERY,
    topics: TOPICS,
    'PINGREQ and DISCONNECT': ENDS,
    AUTH,
    transport: TRANSPORT,
  },
}

conformance(STANDARD)
