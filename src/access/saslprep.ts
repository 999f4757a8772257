/**
 * SASLprep (RFC 4013): user names and passwords that look alike become the same characters, so that it does
 * not matter which keyboard typed them. The tables are those of Node's Unicode, not of Unicode 3.2: what was
 * assigned since is allowed, what is unassigned today is not. The rule for text of both directions
 * (RFC 3454 §6) is not checked: it keeps out confusing names, which is up to the owner who writes the file.
 */

/** RFC 3454 table C.1.2. */
const SPACES = /[\p{Zs}\u200b]/gu
/** RFC 3454 table B.1: soft hyphen, joiners, variation selectors and the like. */
const INVISIBLE = /\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/gu
/** RFC 3454 tables C.2 to C.9: controls, formats, private use, surrogates, unassigned; separators; the unfit for plain text. */
const PROHIBITED = /[\p{C}\p{Zl}\p{Zp}\u2ff0-\u2ffb\ufffc\ufffd]/u

/** `text` as it is compared; undefined when nothing is left of it or a character is prohibited. */
export function saslprep(text: string): string | undefined {
  const prepared = text.replace(SPACES, ' ').replace(INVISIBLE, '').normalize('NFKC')
  return prepared === '' || PROHIBITED.test(prepared) ? undefined : prepared
}
