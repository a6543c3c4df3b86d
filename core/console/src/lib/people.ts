/**
 * What user names and mail addresses may look like, checked before anything is
 * sent. The rules are those of `control/commands/src/usernames.rs` and of the
 * issuer; what only the Sovereign knows (whether a name is taken) it says itself.
 */
import type { Revision } from '../api/types'

export const NEEDED = 'This is needed.'

/** What is wrong with a user name; nothing if it will do. */
export function usernameFault(text: string): string | undefined {
  const name = text.trim()
  if (name === '') return NEEDED
  if (name.length > 40) return 'At most 40 characters.'
  if (!/^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(name)) {
    return 'Letters, digits, “-”, “_” and “.” only, beginning and ending with a letter or digit.'
  }
  if (/^(flux-|catalyst$)/i.test(name)) return 'Names that begin with “flux-”, and “catalyst”, are the Sovereign’s own.'
  return undefined
}

/** What is wrong with a mail address, which may be left out. */
export function emailFault(text: string): string | undefined {
  const address = text.trim()
  if (address === '' || (/^[^\s@]+@[^\s@]+$/.test(address) && address.length <= 256)) return undefined
  return 'A mail address has the form name@host.'
}

/** What is wrong with an Organization's name; reserved words the Sovereign knows. */
export function organizationNameFault(text: string): string | undefined {
  const name = text.trim()
  if (name === '') return NEEDED
  if (!/^[a-z][a-z0-9-]{1,30}[a-z0-9]$/.test(name)) return '3 to 32 of a–z, 0–9 and hyphens, beginning with a letter and not ending with a hyphen.'
  return undefined
}

/** Who made a commit, and who brought it where that was somebody else: anybody may write any author into a commit. */
export function madeBy(commit: Pick<Revision, 'author' | 'pushedBy'>): string {
  return commit.pushedBy ? `${commit.author}, pushed by ${commit.pushedBy}` : commit.author
}

/** Only the faults that there are, by field. */
export function faultsOf(checks: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(Object.entries(checks).filter((entry): entry is [string, string] => entry[1] !== undefined))
}

/** Leads to the first field that has a fault, in the order of the form; whether there is one. */
export function focusFault(faults: Record<string, string>): boolean {
  const first = Object.keys(faults)[0]
  if (first === undefined) return false
  document.getElementById(first)?.focus()
  return true
}
