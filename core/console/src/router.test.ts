import { describe, expect, it } from 'vitest'
import { isPlainClick, match, paths, signInPath } from './router'

describe('match', () => {
  it.each([
    ['/', 'organizations', {}],
    ['/organizations/acme', 'organization', { organization: 'acme' }],
    ['/organizations/acme/', 'organization', { organization: 'acme' }],
    ['/environments/acme-dev', 'environment', { environment: 'acme-dev' }],
    ['/environments/acme-dev/pull-requests/7', 'pull-request', { environment: 'acme-dev', number: '7' }],
    ['/environments/acme-dev/applications/blog', 'application', { environment: 'acme-dev', application: 'blog' }],
    ['/environments/acme-dev/applications/blog/logs', 'application-logs', { environment: 'acme-dev', application: 'blog' }],
    ['/marketplace/catalog/bp-a%2Fb', 'blueprint', { source: 'catalog', blueprint: 'bp-a/b' }],
    ['/organizations/%E0%A4%A', 'not-found', {}],
    ['/environments', 'not-found', {}],
    ['/environments/acme-dev/applications/blog/nowhere', 'not-found', {}],
    ['/api/v1/me', 'not-found', {}],
  ])('%s leads to %s', (path, page, parameters) => {
    expect(match(path)).toEqual({ page, parameters })
  })

  it('finds every path that the console writes', () => {
    const written: [string, string][] = [
      [paths.organizations, 'organizations'],
      [paths.organization('acme'), 'organization'],
      [paths.environment('acme-dev'), 'environment'],
      [paths.pullRequests('acme-dev'), 'pull-requests'],
      [paths.pullRequest('acme-dev', 3), 'pull-request'],
      [paths.application('acme-dev', 'blog'), 'application'],
      ...['logs', 'config', 'history', 'promote', 'delete'].map(
        (section): [string, string] => [paths.application('acme-dev', 'blog', section), `application-${section}`],
      ),
      [paths.revision('acme-dev', 'blog', 'abc'), 'application-revision'],
      [paths.marketplace(), 'marketplace'],
      [paths.blueprintSources, 'blueprint-sources'],
      [paths.blueprint('catalog', 'bp-x'), 'blueprint'],
      [paths.install('catalog', 'bp-x'), 'install'],
      [paths.upgradeNew('catalog', 'bp-x'), 'upgrade-new'],
      [paths.upgrades, 'upgrades'],
      [paths.upgrade('x-3f9a2c1b'), 'upgrade'],
      [paths.users, 'users'],
      [paths.policies, 'policies'],
      [paths.sovereigns, 'sovereigns'],
      [paths.sovereignNew, 'sovereign-new'],
      [paths.sovereign('omantel.example'), 'sovereign'],
      [paths.sovereign('omantel.example', 'change'), 'sovereign-change'],
    ]
    for (const [path, page] of written) expect(match(path).page, path).toBe(page)
  })
})

it('escapes names and keeps the query apart', () => {
  expect(paths.organization('a/../b')).toBe('/organizations/a%2F..%2Fb')
  expect(paths.install('catalog', 'bp-x', { environment: 'acme-dev' })).toBe('/marketplace/catalog/bp-x/install?environment=acme-dev')
})

it('comes back from sign-in to pages of this site only', () => {
  expect(signInPath('/users?x=1')).toBe('/auth/sign-in?return=%2Fusers%3Fx%3D1')
  expect(signInPath('//evil.example')).toBe('/auth/sign-in?return=%2F')
  expect(signInPath('https://evil.example')).toBe('/auth/sign-in?return=%2F')
})

it('leaves clicks with a modifier to the browser', () => {
  const click = { button: 0, metaKey: false, ctrlKey: false, shiftKey: false, altKey: false, defaultPrevented: false }
  expect(isPlainClick(click)).toBe(true)
  for (const other of [{ button: 1 }, { metaKey: true }, { ctrlKey: true }, { shiftKey: true }, { altKey: true }, { defaultPrevented: true }]) {
    expect(isPlainClick({ ...click, ...other })).toBe(false)
  }
})
