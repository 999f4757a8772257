/** Puts the page together: session first, then the stream for whatever page is on show. */
import { effect } from '@preact/signals'
import { render } from 'preact'
import { onLoggedOut } from './ask.ts'
import { Confirm } from './confirm.tsx'
import { Frame } from './frame.tsx'
import { askSession, forget, hello, link, lockedOut, problems, session, unreachable } from './gateway.ts'
import { Notices, say } from './notices.tsx'
import { LoginPage } from './pages/login.tsx'
import { Failure } from './parts.tsx'
import { page, SECTIONS, startRoute, WHILE_BROKEN } from './route.ts'
import { followSystem } from './theme.ts'
import { after, startClock } from './time.ts'

/** Between two attempts to find out who this is, in ms. */
const ASK_AGAIN = 3000

function Page() {
  if (lockedOut.value) return <LoginPage />
  if (session.value === undefined) {
    return (
      <main class="alone">
        {unreachable.value && (
          <Failure
            message="The gateway does not answer."
            hint="Is it running, and in the same network? This page tries again by itself."
          />
        )}
      </main>
    )
  }
  return <Frame />
}

function App() {
  return (
    <>
      <Page />
      <Confirm />
      <Notices />
    </>
  )
}

async function findSession(): Promise<void> {
  if (!(await askSession())) after(ASK_AGAIN, () => void findSession())
}

function tellTroubles(): void {
  let before: readonly string[] = []
  effect(() => {
    const troubles = problems.value
    if (troubles === undefined) return
    const added = troubles.filter(trouble => !before.includes(trouble))
    if (added.length > 0) say(added.join(' '))
    else if (before.length > 0 && troubles.length === 0) say('All is well again.')
    before = troubles
  })
}

startRoute()
startClock()
followSystem()
onLoggedOut(() => void askSession())
effect(() => {
  if (lockedOut.value) forget()
})
link.start()
effect(() => {
  const wanted = hello.value?.broken === undefined ? SECTIONS[page.value] : WHILE_BROKEN
  link.watch(session.value === undefined || lockedOut.value ? [] : wanted)
})
tellTroubles()
void findSession()

const place = document.getElementById('page')
if (place !== null) render(<App />, place)
