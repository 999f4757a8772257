/** Which of the two sets of colours is shown: the system's, or what was chosen in this browser. */

export type Look = 'system' | 'light' | 'dark'

const KEY = 'larder-look'
const DARK = '(prefers-color-scheme: dark)'

/** What was chosen. `system` as well where a browser keeps nothing (private windows may refuse). */
export function chosenLook(): Look {
  try {
    const kept = localStorage.getItem(KEY)
    return kept === 'light' || kept === 'dark' ? kept : 'system'
  } catch {
    return 'system'
  }
}

/** Shows the look that was chosen or, for `system`, the system's. */
export function applyLook(): void {
  const look = chosenLook()
  const dark = look === 'dark' || (look === 'system' && matchMedia(DARK).matches)
  document.documentElement.dataset.look = dark ? 'dark' : 'light'
}

export function chooseLook(look: Look): void {
  try {
    if (look === 'system') localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, look)
  } catch {
    // It holds for this page only.
  }
  applyLook()
}

/** Follows the system from now on. */
export function followSystem(): void {
  matchMedia(DARK).addEventListener('change', applyLook)
}
