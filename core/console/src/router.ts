/**
 * Paths to pages and back. Pure; `navigation.svelte.ts` ties it to the browser.
 *
 * What must stay true: every page has a path of its own that can be opened
 * directly, and a name in a path is escaped on the way out and in.
 */

/** What a path leads to. */
export type Route = { page: string; parameters: Record<string, string> }

/** Pattern → page, first match wins. `:name` takes one segment. */
const PATTERNS: [pattern: string, page: string][] = [
  ['/', 'organizations'],
  ['/organizations', 'organizations'],
  ['/organizations/:organization', 'organization'],
  ['/environments/:environment', 'environment'],
  ['/environments/:environment/pull-requests', 'pull-requests'],
  ['/environments/:environment/pull-requests/:number', 'pull-request'],
  ['/environments/:environment/applications/:application', 'application'],
  ['/environments/:environment/applications/:application/logs', 'application-logs'],
  ['/environments/:environment/applications/:application/config', 'application-config'],
  ['/environments/:environment/applications/:application/history', 'application-history'],
  ['/environments/:environment/applications/:application/history/:commit', 'application-revision'],
  ['/environments/:environment/applications/:application/promote', 'application-promote'],
  ['/environments/:environment/applications/:application/delete', 'application-delete'],
  ['/marketplace', 'marketplace'],
  // No Blueprint has a path of two.
  ['/marketplace/sources', 'blueprint-sources'],
  ['/marketplace/:source/:blueprint', 'blueprint'],
  ['/marketplace/:source/:blueprint/install', 'install'],
  ['/marketplace/:source/:blueprint/upgrade', 'upgrade-new'],
  ['/upgrades', 'upgrades'],
  ['/upgrades/:upgrade', 'upgrade'],
  ['/users', 'users'],
  ['/policies', 'policies'],
  ['/sovereigns', 'sovereigns'],
  ['/sovereigns/new', 'sovereign-new'],
  ['/sovereigns/:fqdn', 'sovereign'],
  ['/sovereigns/:fqdn/change', 'sovereign-change'],
]

/** The page that a path leads to; `not-found` for any other. */
export function match(path: string): Route {
  const segments = split(path)
  for (const [pattern, page] of PATTERNS) {
    const wanted = split(pattern)
    if (wanted.length !== segments.length) continue
    const parameters: Record<string, string> = {}
    const fits = wanted.every((part, index) => {
      const segment = segments[index] ?? ''
      if (!part.startsWith(':')) return part === segment
      const value = decode(segment)
      if (value === undefined || value === '') return false
      parameters[part.slice(1)] = value
      return true
    })
    if (fits) return { page, parameters }
  }
  return { page: 'not-found', parameters: {} }
}

function split(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '')
}

function decode(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}

function to(...segments: string[]): string {
  return segments.map((segment) => '/' + encodeURIComponent(segment)).join('')
}

/** Paths of pages. */
export const paths = {
  organizations: '/organizations',
  organization: (name: string) => to('organizations', name),
  environment: (name: string) => to('environments', name),
  pullRequests: (environment: string) => to('environments', environment, 'pull-requests'),
  pullRequest: (environment: string, number: number) =>
    to('environments', environment, 'pull-requests', String(number)),
  application: (environment: string, name: string, section?: string) =>
    to('environments', environment, 'applications', name, ...(section ? [section] : [])),
  revision: (environment: string, name: string, commit: string) =>
    to('environments', environment, 'applications', name, 'history', commit),
  marketplace: (environment?: string) => '/marketplace' + query({ environment }),
  blueprintSources: '/marketplace/sources',
  blueprint: (source: string, name: string, options: { environment?: string; version?: string } = {}) =>
    to('marketplace', source, name) + query(options),
  install: (source: string, name: string, options: { environment?: string; version?: string } = {}) =>
    to('marketplace', source, name, 'install') + query(options),
  upgradeNew: (source: string, name: string, options: { version?: string } = {}) =>
    to('marketplace', source, name, 'upgrade') + query(options),
  upgrades: '/upgrades',
  upgrade: (name: string) => to('upgrades', name),
  users: '/users',
  policies: '/policies',
  sovereigns: '/sovereigns',
  // No domain has one label alone.
  sovereignNew: '/sovereigns/new',
  sovereign: (fqdn: string, section?: 'change') => to('sovereigns', fqdn, ...(section ? [section] : [])),
}

function query(values: Record<string, string | undefined>): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(values)) if (value) search.set(name, value)
  const text = search.toString()
  return text === '' ? '' : `?${text}`
}

/** Where sign-in starts, and where it comes back to. */
export function signInPath(here: string): string {
  // Only paths of this site: a return address must never lead elsewhere.
  const back = here.startsWith('/') && !here.startsWith('//') ? here : '/'
  return `/auth/sign-in?return=${encodeURIComponent(back)}`
}

/** Whether a click on a link is ours to handle, or the browser's. */
export function isPlainClick(event: {
  button: number
  metaKey: boolean
  ctrlKey: boolean
  shiftKey: boolean
  altKey: boolean
  defaultPrevented: boolean
}): boolean {
  return (
    event.button === 0 &&
    !event.defaultPrevented &&
    !event.metaKey &&
    !event.ctrlKey &&
    !event.shiftKey &&
    !event.altKey
  )
}
