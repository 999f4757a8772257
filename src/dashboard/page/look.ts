/**
 * Light or dark, decided before anything is painted: a script of its own in the head, because the page's module comes
 * later and a wrong colour would flash. What was chosen is kept in this browser; otherwise the system decides.
 */
import { applyLook } from './theme.ts'

applyLook()
