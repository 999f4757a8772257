/** For somebody who has just plugged it in: what is there already, what is missing, and the exact lines for it. */
import type { Discovery, Found } from '../../api.ts'
import { useAsked } from '../asked.ts'
import { Lines, Loading, Unanswered } from '../parts.tsx'
import { hrefOf } from '../route.ts'

/** Where the unit file of the package looks for it. */
const CONFIG_FILE = '/etc/larder/larder.yaml'

export function FirstRun() {
  const host = location.hostname
  const local = host === 'localhost' || host.startsWith('127.') || host === '[::1]'
  return (
    <section class="panel first-run" aria-label="First steps">
      <h2>Welcome. The gateway runs; here is how to fill it.</h2>
      <ol>
        <li>
          <h3>Send it something</h3>
          <p>
            From a machine with the Mosquitto tools. What you send is at once under{' '}
            <a href={hrefOf('topics')}>Topics</a>.
          </p>
          <Lines of="a first message" text={`mosquitto_pub -h ${local ? 'localhost' : host} -t hello -m world`} />
        </li>
        <li>
          <h3>Add what is plugged in</h3>
          <p>
            Copy the lines under <code>devices:</code> in <code>{CONFIG_FILE}</code>, then choose{' '}
            <a href={hrefOf('settings')}>Settings</a>, “Check the file” and “Reload”.
          </p>
          <PluggedIn />
        </li>
        <li>
          <h3>Let others in, safely</h3>
          <p>
            As it is, only this machine reaches the broker and this page. To open both to your network, make a user, and
            ask everybody for it:
          </p>
          <Lines of="a user" text="larder passwd -c /etc/larder/users me" />
          <Lines
            of="a listener and a page with users"
            text={[
              'listeners:',
              '  - mqtt://127.0.0.1:1883',
              '  - url: mqtt://0.0.0.0:1884',
              '    access: { password_file: /etc/larder/users }',
              'dashboard: { listen: 0.0.0.0:8080, users: /etc/larder/users }',
            ].join('\n')}
          />
        </li>
      </ol>
    </section>
  )
}

/** Serial adapters, sensors and pins that are there, with the lines that put them into the configuration. */
export function PluggedIn() {
  const asked = useAsked<Discovery>('discover')
  if (asked.refused) return <Unanswered asked={asked} />
  if (asked.value === undefined) return <Loading rows={2} />
  const { ports, sensors, chips } = asked.value
  const found = [...ports, ...sensors, ...chips]
  return (
    <>
      {found.length === 0 && (
        <p class="quiet-text">
          Nothing that could be read is plugged in: no serial adapter, no sensor of the kernel, no pins.
        </p>
      )}
      {found.map(one => (
        <FoundOne key={one.what} found={one} />
      ))}
      <p>
        <button type="button" onClick={() => void asked.again()}>
          Look again
        </button>
      </p>
    </>
  )
}

/** The lines of one device, whole: what was found names only its port, sensor or pin. */
function deviceLines(config: string): string {
  if (/^(devices:|-)/.test(config)) return config
  return ['- name: Name it', '  room: Kitchen', ...config.split('\n').map(line => `  ${line}`)].join('\n')
}

function FoundOne(props: { found: Found }) {
  const { found } = props
  return (
    <details class="more" open={!found.used}>
      <summary>
        <span class="topic">{found.what}</span>
        <span class="quiet-text"> {found.used ? 'in use' : 'not used yet'}</span>
      </summary>
      <Lines text={deviceLines(found.config)} of={found.what} />
    </details>
  )
}
