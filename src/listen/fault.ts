/** What a failed `listen` means to the owner. */
import { LarderError, reasonOf, systemCodeOf } from '../kernel/errors.ts'
import type { ListenerSettings } from './ports.ts'

/** A listener's address as a URL, with `port` as the real one. */
export function urlOf({ protocol, host, path = '' }: ListenerSettings, port: number): string {
  if (protocol === 'unix') return `unix://${path}`
  const place = `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}`
  return protocol === 'ws' || protocol === 'wss' ? place + path : place
}

/** By the system's code. */
export function listenFault(error: unknown, settings: ListenerSettings): LarderError {
  if (error instanceof LarderError) return error
  return settings.protocol === 'unix' ? socketFault(error, settings) : portFault(error, settings)
}

function portFault(error: unknown, settings: ListenerSettings): LarderError {
  const { host, port } = settings
  const place = urlOf(settings, port)
  switch (systemCodeOf(error)) {
    case 'EADDRINUSE':
      return new LarderError('LISTEN_IN_USE', `${place}: another program already listens on ${host} port ${port}.`, {
        hint: 'Stop that program (often mosquitto, or a second Larder), or choose another port under "listeners".',
        cause: error,
      })
    case 'EACCES':
      return new LarderError(
        'LISTEN_DENIED',
        `${place}: the system does not allow listening on ${host} port ${port}.`,
        {
          hint: 'Choose a port from 1024 up under "listeners", or give the process the right CAP_NET_BIND_SERVICE.',
          cause: error,
        },
      )
    case 'EADDRNOTAVAIL':
      return new LarderError('LISTEN_FAILED', `${place}: ${host} is not an address of this machine.`, {
        hint: 'Use one that "ip address" shows, 127.0.0.1 for this machine alone, or 0.0.0.0 for all networks.',
        cause: error,
      })
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new LarderError('LISTEN_FAILED', `${place}: the name ${host} cannot be resolved.`, {
        hint: 'Write an address of this machine under "listeners" instead of a name.',
        cause: error,
      })
    default:
      return new LarderError('LISTEN_FAILED', `${place}: ${reasonOf(error)}.`, { cause: error })
  }
}

function socketFault(error: unknown, settings: ListenerSettings): LarderError {
  const place = urlOf(settings, 0)
  switch (systemCodeOf(error)) {
    case 'EADDRINUSE':
      return new LarderError('LISTEN_IN_USE', `${place}: another program already listens on this socket.`, {
        hint: 'Stop that program (often a second Larder), or choose another path under "listeners".',
        cause: error,
      })
    case 'EEXIST':
      return new LarderError('LISTEN_FAILED', `${place}: there is a file of this name, and it is not a socket.`, {
        hint: 'Take the file away, or choose another path under "listeners".',
        cause: error,
      })
    case 'ENOENT':
    case 'ENOTDIR':
      return new LarderError('LISTEN_FAILED', `${place}: the folder of this socket does not exist.`, {
        hint: 'Make the folder (with systemd: RuntimeDirectory=larder makes /run/larder), or choose another path under "listeners".',
        cause: error,
      })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new LarderError('LISTEN_DENIED', `${place}: the system does not allow making this socket.`, {
        hint: 'Give the user that Larder runs as the right to write in that folder, or choose another path under "listeners".',
        cause: error,
      })
    default:
      return new LarderError('LISTEN_FAILED', `${place}: ${reasonOf(error)}.`, { cause: error })
  }
}
