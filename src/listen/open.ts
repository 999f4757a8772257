/** Chooses the listener for a configured address. WebSocket code is loaded only when it is asked for: start-up counts. */
import type { Listener } from './ports.ts'
import { TcpListener } from './tcp.ts'
import type { WebSocketListenerDependencies } from './ws.ts'

export type ListenerDependencies = Omit<WebSocketListenerDependencies, 'settings'>

/** A listener for `settings`, not yet started: give it to the `Lifecycle`. */
export async function openListener(
  settings: WebSocketListenerDependencies['settings'],
  deps: ListenerDependencies,
): Promise<Listener> {
  if (settings.protocol !== 'ws' && settings.protocol !== 'wss') return new TcpListener({ ...deps, settings })
  const { WebSocketListener } = await import('./ws.ts')
  return new WebSocketListener({ ...deps, settings })
}
