/** Each port and pin as the gateway sees it: the last that came in, raw, and the last that was wrong. */
import type { DeviceView } from '../../api.ts'
import { act } from '../ask.ts'
import { devices } from '../gateway.ts'
import type { IconName } from '../icons.tsx'
import { Action, Age, Empty, Fact, Facts, Loading, State, type Tone, Topic } from '../parts.tsx'
import { number } from '../words.ts'
import { PluggedIn } from './first-run.tsx'

const STATES: Readonly<Record<DeviceView['state'], { tone: Tone; icon: IconName }>> = {
  online: { tone: 'ok', icon: 'ok' },
  starting: { tone: 'quiet', icon: 'wait' },
  stale: { tone: 'warn', icon: 'wait' },
  offline: { tone: 'fail', icon: 'fail' },
}

export function DevicesPage() {
  const known = devices.value
  return (
    <>
      <h1>Devices</h1>
      {known === undefined && <Loading rows={3} />}
      {known?.length === 0 && (
        <Empty title="No device is configured">
          <p>Below is what is plugged in, with the lines to copy into the configuration.</p>
        </Empty>
      )}
      <div class="panels">
        {known?.map(device => (
          <DevicePanel key={device.id} device={device} />
        ))}
      </div>
      <section aria-label="Plugged in">
        <h2>Plugged in</h2>
        <p class="quiet-text">Serial adapters, sensors and pins that this machine has, used or not.</p>
        <PluggedIn />
      </section>
    </>
  )
}

function DevicePanel(props: { device: DeviceView }) {
  const { device } = props
  const { tone, icon } = STATES[device.state]
  return (
    <section class={`panel edge-${tone}`} aria-label={`${device.room}: ${device.name}`}>
      <header class="panel-head">
        <h2>
          {device.name} <span class="quiet-text">{device.room}</span>
        </h2>
        <State tone={tone} icon={icon}>
          {device.state} <Age at={device.since} bare />
        </State>
      </header>
      <p class="quiet-text">
        {device.partOf === undefined ? device.kind : `part of ${device.partOf}`}
        {device.place && (
          <>
            {' on '}
            <Topic name={device.place} />
          </>
        )}
      </p>
      <Facts>
        <Fact name="Topic">
          <Topic name={device.topic} />
        </Fact>
        <Fact name="Readings">{number(device.readings)}</Fact>
        <Fact name="Commands">{number(device.commands)}</Fact>
        <Fact name="Faults">{number(device.faults)}</Fact>
      </Facts>
      {device.lastFrame && (
        <div class="raw">
          <p class="quiet-text">
            Last that came in, <Age at={device.lastFrame.at} />
          </p>
          <pre class="payload">{device.lastFrame.text}</pre>
        </div>
      )}
      {device.lastFault && (
        <p class={tone === 'fail' ? 'says-fail' : undefined}>
          <State tone={tone === 'fail' ? 'fail' : 'warn'} icon="warn">
            {device.lastFault.reason}
          </State>{' '}
          <span class="quiet-text">
            <Age at={device.lastFault.at} />
          </span>
        </p>
      )}
      {device.partOf === undefined && (
        <div class="buttons">
          <Action
            icon="again"
            label={`Read ${device.name} now`}
            act={async () => (await act('poll', { device: device.id })).message}
          >
            Read now
          </Action>
        </div>
      )}
    </section>
  )
}
