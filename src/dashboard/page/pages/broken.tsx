/** The configuration cannot be used, so there is no gateway: what is wrong, where, and what to do. */
import type { ConfigFault } from '../../api.ts'
import { State } from '../parts.tsx'
import { hrefOf } from '../route.ts'
import { some } from '../words.ts'
import { Doctor } from './health.tsx'
import { LogTail } from './log.tsx'
import { Faults } from './settings.tsx'

export function BrokenPage(props: { faults: readonly ConfigFault[] }) {
  return (
    <>
      <h1>The configuration cannot be used</h1>
      <section class="panel edge-fail" aria-label="Faults">
        <p>
          <State tone="fail" icon="fail">
            The gateway is not running: {some(props.faults.length, 'fault')} in its configuration.
          </State>
        </p>
        <Faults faults={props.faults} />
        <p>
          Mend the file on the machine and save it. The gateway looks at it again by itself and starts; this page goes
          on when it has. Nothing that was stored is lost meanwhile. <a href={hrefOf('settings')}>Settings</a> shows the
          file as it is.
        </p>
      </section>
      <Doctor />
      <LogTail />
    </>
  )
}
