/** Who is it? The only page without the frame. */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import type { Login } from '../../api.ts'
import { post, refusal } from '../ask.ts'
import { askSession } from '../gateway.ts'
import { Mark } from '../icons.tsx'
import { Failure } from '../parts.tsx'

export function LoginPage() {
  const refused = useSignal<{ message: string; hint?: string } | undefined>(undefined)
  const busy = useSignal(false)
  const first = useRef<HTMLInputElement>(null)
  const secret = useRef<HTMLInputElement>(null)
  useEffect(() => first.current?.focus(), [])
  const login = async (): Promise<void> => {
    busy.value = true
    refused.value = undefined
    try {
      const who: Login = { user: first.current?.value ?? '', password: secret.current?.value ?? '' }
      await post<void>('session', who)
      await askSession()
    } catch (error) {
      refused.value = refusal(error)
      if (secret.current !== null) secret.current.value = ''
      secret.current?.focus()
    } finally {
      busy.value = false
    }
  }
  return (
    <main class="alone">
      <form
        class="form panel"
        onSubmit={event => {
          event.preventDefault()
          void login()
        }}
      >
        <Mark />
        <h1>Larder</h1>
        <label class="field">
          <span>User</span>
          <input ref={first} name="user" type="text" autocomplete="username" autocapitalize="off" required />
        </label>
        <label class="field">
          <span>Password</span>
          <input ref={secret} name="password" type="password" autocomplete="current-password" required />
        </label>
        {refused.value && <Failure {...refused.value} />}
        <button type="submit" class="main" disabled={busy.value}>
          {busy.value ? 'Logging in…' : 'Log in'}
        </button>
      </form>
    </main>
  )
}
