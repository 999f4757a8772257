/** The configuration as it is in force, to read; checks, the way to take up a changed one, backup, and how this page looks. */
import { useSignal } from '@preact/signals'
import { useRef } from 'preact/hooks'
import type { ConfigCheck, ConfigFault, ConfigView } from '../../api.ts'
import { act, post, upload } from '../ask.ts'
import { useAsked } from '../asked.ts'
import { confirmed } from '../confirm.tsx'
import { hello, logOut, mayAct, session } from '../gateway.ts'
import { Icon } from '../icons.tsx'
import { Action, Lines, Loading, State, Unanswered } from '../parts.tsx'
import { chooseLook, chosenLook, type Look } from '../theme.ts'
import { bytes, some } from '../words.ts'

export function SettingsPage() {
  return (
    <>
      <h1>Settings</h1>
      <Configuration />
      <Backup />
      <Appearance />
    </>
  )
}

function Configuration() {
  const asked = useAsked<ConfigView>('config')
  const checked = useSignal<readonly ConfigFault[] | undefined>(undefined)
  const view = asked.value
  return (
    <section class="panel" aria-label="Configuration">
      <header class="panel-head">
        <h2>Configuration</h2>
        {view && <InForce view={view} />}
      </header>
      <Unanswered asked={asked} />
      {view === undefined && !asked.refused && <Loading rows={4} />}
      {view && (
        <>
          <p class="quiet-text">
            {view.file === undefined ? (
              'There is no file: what is built in is in force.'
            ) : (
              <>
                <span class="topic">{view.file}</span>, edited on the machine itself; passwords and keys are not shown.
              </>
            )}
          </p>
          <div class="buttons">
            <Action
              icon="ok"
              always
              act={async () => {
                checked.value = (await post<ConfigCheck>('config/check')).faults
                await asked.again()
                return undefined
              }}
            >
              Check the file
            </Action>
            <Action
              icon="again"
              act={async () => {
                const { message } = await act('reload', {})
                checked.value = undefined
                await asked.again()
                return message
              }}
            >
              Reload
            </Action>
          </div>
          {checked.value && <Checked faults={checked.value} />}
          <Lines text={view.text} of="the whole configuration" />
        </>
      )}
    </section>
  )
}

function InForce(props: { view: ConfigView }) {
  if (hello.value?.broken !== undefined) {
    return (
      <State tone="fail" icon="fail">
        not in force: it has faults
      </State>
    )
  }
  const { changed } = props.view
  return (
    <State tone={changed ? 'warn' : 'ok'} icon={changed ? 'warn' : 'ok'}>
      {changed ? 'changed on disk, not taken up yet' : 'in force'}
    </State>
  )
}

function Checked(props: { faults: readonly ConfigFault[] }) {
  if (props.faults.length === 0) {
    return (
      <p role="status">
        <State tone="ok" icon="ok">
          The file on disk is valid.
        </State>
      </p>
    )
  }
  return (
    <div role="alert">
      <p>
        <State tone="fail" icon="fail">
          The file on disk has {some(props.faults.length, 'fault')}; what is in force stays.
        </State>
      </p>
      <Faults faults={props.faults} />
    </div>
  )
}

export function Faults(props: { faults: readonly ConfigFault[] }) {
  return (
    <ol class="faults">
      {props.faults.map(fault => (
        <li key={`${fault.place} ${fault.message}`}>
          <code class="topic">{fault.place}</code>
          <p>{fault.message}</p>
          {fault.hint && <p class="hint">{fault.hint}</p>}
        </li>
      ))}
    </ol>
  )
}

/** Where nobody logs in, only the store is told and taken: secrets are in the rest. */
function isWhole(): boolean {
  return session.value?.needsLogin === true
}

function Backup() {
  const file = useRef<HTMLInputElement>(null)
  const chosen = useSignal<File | undefined>(undefined)
  return (
    <section class="panel" aria-label="Backup">
      <h2>Backup</h2>
      <p class="quiet-text">
        {isWhole()
          ? 'One file with the configuration, its passwords, and everything in the store. Keep it safe.'
          : 'One file with everything in the store. The configuration and its passwords are not in it, because nobody has to log in here: copy them too, or take “larder backup” on the machine itself.'}
      </p>
      <div class="buttons">
        <a class="button" href="api/backup" download>
          <Icon name="down" />
          <span>Download a backup</span>
        </a>
      </div>
      <h3>Restore</h3>
      <p class="quiet-text">
        {isWhole()
          ? 'Puts back a backup. What is here now is replaced, and the gateway starts anew.'
          : 'Puts back the store of a backup in place of the one that is here now, and the gateway starts anew. The configuration stays.'}
      </p>
      <div class="restore">
        <label class="field">
          <span>Backup file</span>
          <input
            ref={file}
            type="file"
            disabled={!mayAct.value}
            onChange={event => (chosen.value = event.currentTarget.files?.[0])}
          />
        </label>
        <Action
          icon="up"
          kind="danger"
          disabled={chosen.value === undefined}
          act={() => restore(chosen.value, () => file.current)}
        >
          Restore this backup
        </Action>
      </div>
    </section>
  )
}

async function restore(file: File | undefined, input: () => HTMLInputElement | null): Promise<string | undefined> {
  if (file === undefined) return undefined
  const what = isWhole() ? 'The configuration and all messages' : 'All messages'
  const yes = await confirmed({
    title: 'Replace everything by this backup?',
    text: `${file.name}, ${bytes(file.size)}. ${what} that are here now are replaced, and everybody is disconnected for a moment.`,
    action: 'Replace everything',
  })
  if (!yes) return undefined
  const { message } = await upload('restore', file)
  const field = input()
  if (field !== null) field.value = ''
  return message
}

const LOOKS: readonly (readonly [Look, string])[] = [
  ['system', 'As the system'],
  ['light', 'Light'],
  ['dark', 'Dark'],
]

function Appearance() {
  const look = useSignal(chosenLook())
  const user = session.value?.user
  return (
    <section class="panel" aria-label="This browser">
      <h2>This browser</h2>
      <fieldset class="choices-field">
        <legend>Colours</legend>
        {LOOKS.map(([value, words]) => (
          <label key={value} class="check">
            <input
              type="radio"
              name="look"
              checked={look.value === value}
              onChange={() => {
                chooseLook(value)
                look.value = value
              }}
            />
            <span>{words}</span>
          </label>
        ))}
      </fieldset>
      {user !== undefined && (
        <div class="buttons">
          <Action icon="leave" always act={async () => void (await logOut())}>
            Log out {user}
          </Action>
        </div>
      )}
      <p class="quiet-text">{hello.value && `Larder ${hello.value.version}`}</p>
    </section>
  )
}
