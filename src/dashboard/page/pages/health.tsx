/** How the gateway itself is doing: the store, the card it wears, disk, certificates, what the doctor finds, the log. */
import type { Finding, Health } from '../../api.ts'
import { useAsked } from '../asked.ts'
import { health, problems } from '../gateway.ts'
import type { IconName } from '../icons.tsx'
import { Action, Age, Fact, Facts, Loading, State, type Tone, Unanswered } from '../parts.tsx'
import { now } from '../time.ts'
import { bytes, date, duration, named, number, some } from '../words.ts'
import { LogTail } from './log.tsx'

const DAY = 86_400_000
/** A renewal is due by then. */
const EXPIRES_SOON = 21 * DAY
/** Parts of the disk that are free: below, one is told; below the second it is urgent. */
const LITTLE_FREE = 0.1
const NO_ROOM = 0.03

export function HealthPage() {
  const told = health.value
  return (
    <>
      <h1>Health</h1>
      {told === undefined ? (
        <Loading rows={4} />
      ) : (
        <>
          <Troubles troubles={told.troubles.length > 0 ? told.troubles : (problems.value ?? [])} />
          <div class="panels">
            <Store store={told.store} uptime={told.process.uptime} />
            <Machine health={told} />
            <Certificates certificates={told.certificates} />
            <Listeners listeners={told.listeners} />
            <Dropped dropped={told.dropped} />
          </div>
        </>
      )}
      <Doctor />
      <LogTail />
    </>
  )
}

function Troubles(props: { troubles: readonly string[] }) {
  if (props.troubles.length === 0) {
    return (
      <p class="summary">
        <State tone="ok" icon="ok">
          All is well
        </State>
      </p>
    )
  }
  return (
    <ul class="troubles">
      {props.troubles.map(trouble => (
        <li key={trouble}>
          <State tone="fail" icon="warn">
            {trouble}
          </State>
        </li>
      ))}
    </ul>
  )
}

/** How a store comes up that nothing has happened to. */
const WELL = ['new', 'whole', 'ok']

function Store(props: { store: Health['store']; uptime: number }) {
  const { store, uptime } = props
  const good = WELL.includes(store.state)
  return (
    <section class="panel" aria-label="Store">
      <header class="panel-head">
        <h2>Store</h2>
        <State tone={good ? 'ok' : 'warn'} icon={good ? 'ok' : 'warn'}>
          {good ? 'in order' : store.state}
        </State>
      </header>
      <Facts>
        <Fact name="Waiting">
          {some(store.messages, 'message')}, {bytes(store.bytes)}
        </Fact>
        <Fact name="Oldest">{store.oldest !== undefined && <Age at={store.oldest} />}</Fact>
        <Fact name="Retained">{some(store.retained, 'message')}</Fact>
        <Fact name="A power cut may cost">{lossWords(store.lossWindow)}</Fact>
        <Fact name="Written to the card">
          {bytes(store.written)}
          {uptime > 0 && `, ${bytes((store.written / uptime) * DAY)} a day`}
        </Fact>
        <Fact name="Written per message">
          {store.writtenPerMessage === undefined ? undefined : bytes(store.writtenPerMessage)}
        </Fact>
        <Fact name="Never had to be written">{some(store.elided, 'message')}</Fact>
        <Fact name="Commits">
          {number(store.commits)}
          {store.commitMedian !== undefined && `, half of them within ${duration(store.commitMedian)}`}
        </Fact>
        <Fact name="Failed writes">{number(store.failures)}</Fact>
        <Fact name="Damaged records">{number(store.damaged)}</Fact>
      </Facts>
    </section>
  )
}

function lossWords(window: number | undefined): string | undefined {
  if (window === undefined) return undefined
  if (window < 0) return 'anything: durability is off'
  return window === 0 ? 'nothing that was acknowledged' : `the last ${duration(window)}`
}

function Machine(props: { health: Health }) {
  const { disk, process } = props.health
  const free = disk.size === 0 ? 1 : disk.free / disk.size
  const tone: Tone = free < NO_ROOM ? 'fail' : free < LITTLE_FREE ? 'warn' : 'ok'
  return (
    <section class="panel" aria-label="Machine">
      <header class="panel-head">
        <h2>Machine</h2>
        <State tone={tone} icon={tone === 'ok' ? 'ok' : 'warn'}>
          {disk.size === 0 ? 'disk not known yet' : `${bytes(disk.free)} free`}
        </State>
      </header>
      <label class="drain">
        <span>
          {bytes(disk.size - disk.free)} of {bytes(disk.size)} used where <span class="topic">{disk.path}</span> is
        </span>
        <progress max={disk.size} value={disk.size - disk.free} />
      </label>
      <Facts>
        <Fact name="Running for">{duration(process.uptime)}</Fact>
        <Fact name="Processor">{number(process.processor * 100)} % of one core</Fact>
        <Fact name="Memory">
          {bytes(process.resident)}, {bytes(process.heap)} of it in use
        </Fact>
        <Fact name="Reacts within">{duration(process.loopDelay)}</Fact>
      </Facts>
    </section>
  )
}

function Certificates(props: { certificates: Health['certificates'] }) {
  if (props.certificates.length === 0) return null
  return (
    <section class="panel" aria-label="Certificates">
      <h2>Certificates</h2>
      <ul class="plain-list">
        {props.certificates.map(certificate => {
          const left = certificate.expiresAt - now.value
          const tone: Tone = left <= 0 ? 'fail' : left < EXPIRES_SOON ? 'warn' : 'ok'
          return (
            <li key={`${certificate.of} ${certificate.name}`}>
              <State tone={tone} icon={tone === 'ok' ? 'ok' : 'warn'}>
                {left <= 0 ? 'expired' : `${some(Math.round(left / DAY), 'day')} left`}
              </State>{' '}
              <span class="topic">{certificate.name}</span>
              <p class="quiet-text">
                of the {certificate.of}, until {date(certificate.expiresAt)}
              </p>
            </li>
          )
        })}
      </ul>
    </section>
  )
}

function Listeners(props: { listeners: Health['listeners'] }) {
  return (
    <section class="panel" aria-label="Listeners">
      <h2>Listeners</h2>
      <ul class="plain-list">
        {props.listeners.map(listener => (
          <li key={listener.address}>
            <State tone={listener.open ? 'ok' : 'fail'} icon={listener.open ? 'ok' : 'fail'}>
              {listener.open ? 'open' : 'closed'}
            </State>{' '}
            <span class="topic">{listener.address}</span>
          </li>
        ))}
      </ul>
    </section>
  )
}

function Dropped(props: { dropped: Health['dropped'] }) {
  const reasons = Object.entries(props.dropped).filter(([, count]) => count > 0)
  return (
    <section class="panel" aria-label="Dropped messages">
      <h2>Dropped messages</h2>
      {reasons.length === 0 ? (
        <p>
          <State tone="ok" icon="ok">
            none
          </State>
        </p>
      ) : (
        <Facts>
          {reasons.map(([reason, count]) => (
            <Fact key={reason} name={named(reason)}>
              {number(count)}
            </Fact>
          ))}
        </Facts>
      )}
    </section>
  )
}

const FOUND: Readonly<Record<Finding['state'], { tone: Tone; icon: IconName }>> = {
  ok: { tone: 'ok', icon: 'ok' },
  warn: { tone: 'warn', icon: 'warn' },
  fail: { tone: 'fail', icon: 'fail' },
  skip: { tone: 'quiet', icon: 'more' },
}

export function Doctor() {
  const asked = useAsked<readonly Finding[]>('doctor')
  return (
    <section class="panel" aria-label="Doctor">
      <header class="panel-head">
        <h2>Doctor</h2>
        <Action icon="again" always act={async () => void (await asked.again())}>
          Examine again
        </Action>
      </header>
      <Unanswered asked={asked} />
      {asked.value === undefined && !asked.refused && <Loading rows={3} />}
      <ul class="plain-list">
        {asked.value?.map(finding => (
          <li key={`${finding.check} ${finding.subject} ${finding.cause}`}>
            <State {...FOUND[finding.state]}>
              <b>{named(finding.check)}</b>
              {finding.subject && `: ${finding.subject}`}
            </State>{' '}
            {finding.cause}
            {finding.mend && <p class="hint">{finding.mend}</p>}
          </li>
        ))}
      </ul>
    </section>
  )
}
