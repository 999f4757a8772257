/**
 * Whether the clock is right: before that, TLS refuses every certificate, and schedules wait. What it advises is systemctl and
 * not timedatectl, which asks through D-Bus: a small system has none.
 */
import { NOT_BEFORE } from '../kernel/clock-sync.ts'
import type { Check } from './examine.ts'

export const checkClock: Check = async ({ config }, { clock, sync }) => {
  const now = clock.wall()
  const shown = new Date(now)
    .toISOString()
    .replace(/\.\d+Z$/, ' UTC')
    .replace('T', ' ')
  const usesTls =
    config?.bridges.some(({ url, urls = [] }) => [url, ...urls].some(each => /^(mqtts|wss):/.test(each))) === true ||
    config?.listeners.some(({ tls }) => tls !== undefined) === true
  const why = usesTls ? ', and TLS needs it: every certificate counts as not valid yet' : ''
  if (now < NOT_BEFORE) {
    return [
      {
        grade: 'fail',
        cause: `the clock says ${shown}, which is past${why}`,
        mend: 'Is the network up? "sudo systemctl enable --now systemd-timesyncd" has the clock set from it.',
      },
    ]
  }
  if (sync.isSynced()) return [{ grade: 'ok', cause: `the clock is set: ${shown}` }]
  if (config?.store.trustClock === 'never') {
    return [{ grade: 'skip', cause: `the clock says ${shown}, and the configuration says not to believe it` }]
  }
  return [
    {
      grade: 'warn',
      cause: `nothing tells that a time server has set the clock, which says ${shown}`,
      mend: '"systemctl status systemd-timesyncd" tells whether one was heard. Where another program than systemd-timesyncd sees to that, "store: { trust_clock: always }" says so.',
    },
  ]
}
