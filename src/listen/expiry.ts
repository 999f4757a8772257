/** How near a certificate is to its end, in the steps at which its owner is told. */

/** Whole days before the end at which a warning is due; 0 is the end itself. */
export const EXPIRY_STEPS = [0, 1, 7, 14, 30] as const
export type ExpiryStep = (typeof EXPIRY_STEPS)[number]

const DAY = 86_400_000

/**
 * The smallest step that has been reached: 30 with 30 to 14 days left, …, 1 on the last day, 0 when it has expired;
 * undefined with more than 30 days left. A change of the step is what to warn about. Both in ms since 1970.
 */
export function expiryWarning(expiresAt: number, now: number): ExpiryStep | undefined {
  return EXPIRY_STEPS.find(days => expiresAt - now <= days * DAY)
}
