import { tabTo } from './keyboard'
import { expect, signInAs, test, violations } from './support'

const GUESTBOOK = '/environments/acme-dev/applications/guestbook'
const YANKED = { source: 'catalog', change: { blueprints: [{ name: 'bp-guestbook', version: '1.1.0', yanked: { '1.0.0': 'it forgets its guests' } }] }, tell: 'bp-guestbook' }

test('each source says what is published from it, what is not and why, and what nobody trusts', async ({ signedIn: page }) => {
  await page.goto('/marketplace')
  await tabTo(page, 'Sources')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name: 'Blueprint sources' })).toBeFocused()
  const acme = page.getByRole('region', { name: 'acme' })
  await expect(acme.getByRole('group', { name: 'Git URL of acme' })).toHaveText('http://127.0.0.1:8080/git/acme/shared-blueprints.git')
  await expect(acme.getByTestId('health')).toContainText('2 problems keep Blueprints from being published')
  await expect(acme.getByText(/^commit [0-9a-f]{10}, 1 h ago$/)).toBeVisible()
  const rows = (name: string) => acme.getByRole('table', { name, exact: true }).getByRole('row')
  await expect(rows('Published')).toHaveText([/Blueprint/, /bp-chat.*not published/, /bp-wiki.*1\.2\.0/])
  await expect(rows('What keeps Blueprints from being published')).toHaveText([/Where/, /chat\/chart\/values\.yaml:3.*image-tag.*latest.*name a version/, /chat\/blueprint\.yaml.*owner.*nobody owns it/])
  await expect(rows('Withdrawn')).toHaveText([/Version/, /bp-wiki 1\.1\.0.*it loses pages/])
  await expect(rows('In the registry, and not trusted')).toHaveText([/Artifact/, /bp-stray 0\.1\.0.*no signature.*oras manifest delete --plain-http 127\.0\.0\.1:8080\/acme\/bp-stray:0\.1\.0/])
  const catalog = page.getByRole('region', { name: 'catalog' })
  await expect(catalog.getByRole('table')).toHaveCount(1)
  await catalog.getByRole('link', { name: 'bp-guestbook' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Guestbook' })).toBeVisible()
})

test('what changes shows and is told, also that a part is away and since when', async ({ signedIn: page, fixture }) => {
  await page.goto('/marketplace/sources')
  const catalog = page.getByRole('region', { name: 'catalog' })
  await expect(catalog.getByTestId('health')).toContainText('the Blueprints are published')
  const health = {
    phase: 'Stale', reason: 'ForgeAway', message: 'cannot read the repository catalog/blueprints: nobody answers; what is published stays at 0123456789',
    observedAt: new Date().toISOString(), since: new Date(Date.now() - 300_000).toISOString(),
  }
  const asked: string[] = []
  page.on('request', (request) => { if (request.url().includes('blueprint-sources')) asked.push(request.url()) })
  await fixture.control('source', { source: 'catalog', change: { health } })
  await expect(catalog.getByTestId('health')).toContainText('what is published stays at 0123456789')
  await expect(catalog.getByTestId('health')).toContainText('ForgeAway')
  await expect(catalog.getByTestId('health')).toContainText('stale for 5 min')
  await expect(page.getByTestId('announcer')).toHaveText('The source catalog is now stale.')
  // The stream tells all of it.
  expect(asked).toEqual([])
})

test('a source in whose registry something is refused says so, and that all else is published', async ({ signedIn: page, fixture }) => {
  const health = {
    phase: 'Degraded', reason: 'ArtifactsRefused', message: 'one version in its path of the registry is refused: catalog/bp-stray:0.1.0: it carries no signature; sign it',
    observedAt: new Date().toISOString(), since: new Date(Date.now() - 300_000).toISOString(),
  }
  const refused = [{ name: 'bp-stray', version: '0.1.0', reason: 'it carries no signature', fix: 'sign it' }]
  await fixture.control('source', { source: 'catalog', change: { health, refused } })
  await page.goto('/marketplace/sources')
  const catalog = page.getByRole('region', { name: 'catalog' })
  await expect(catalog.getByTestId('health')).toContainText('Degraded')
  await expect(catalog.getByTestId('health')).toContainText('bp-stray:0.1.0: it carries no signature')
  await expect(catalog.getByRole('table', { name: 'Published', exact: true })).toBeVisible()
})

test('others see their own sources, or that there is none', async ({ page, fixture }) => {
  await signInAs(page, fixture, 'bob')
  await page.goto('/marketplace/sources')
  await expect(page.getByRole('main').getByRole('heading', { level: 2 })).toHaveText(['acme'])
  await signInAs(page, fixture, 'eve')
  await page.goto('/marketplace/sources')
  await expect(page.getByText('There is no source that you may read.')).toBeVisible()
})

test('a sovereign-admin is shown what connects another registry, once asked for, and nobody else', async ({ page, fixture }) => {
  await signInAs(page, fixture, 'admin')
  await page.goto('/marketplace/sources')
  await expect(page.getByRole('region', { name: 'catalog' })).toBeVisible()
  await expect(page.locator('body')).not.toContainText('canary-registry-token')
  await tabTo(page, 'Connect a registry')
  await page.keyboard.press('Enter')
  const dialog = page.getByRole('dialog', { name: 'Connect a registry' })
  await expect(dialog.getByRole('group', { name: 'Address' })).toHaveText('http://127.0.0.1:8080/api/v1/hooks/registry')
  await expect(dialog.getByRole('group', { name: 'Authorization' })).toHaveText('Bearer canary-registry-token')
  expect(await violations(page), 'dialog').toEqual([])
  await dialog.getByRole('button', { name: 'Done' }).click()
  await expect(page.locator('body')).not.toContainText('canary-registry-token')
  await signInAs(page, fixture, 'bob')
  await page.goto('/marketplace/sources')
  await expect(page.getByRole('region', { name: 'acme' })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Connect a registry' })).toHaveCount(0)
})

test('a version that was withdrawn is not offered, and says why', async ({ signedIn: page, fixture }) => {
  await page.goto('/marketplace/catalog/bp-guestbook?version=1.0.0')
  await expect(page.getByRole('link', { name: 'Install' })).toBeVisible()
  await expect(page.getByTestId('withdrawn')).toHaveCount(0)
  await fixture.control('source', YANKED)
  await expect(page.getByTestId('withdrawn')).toContainText('bp-guestbook 1.0.0 was withdrawn. it forgets its guests')
  await expect(page.getByTestId('withdrawn')).toContainText('It cannot be installed.')
  await expect(page.getByRole('link', { name: 'Install' })).toHaveCount(0)
  await page.getByLabel('Version').selectOption('1.1.0')
  await expect(page.getByRole('link', { name: 'Install' })).toBeVisible()
  await expect(page.getByTestId('withdrawn')).toHaveCount(0)
})

test('an Application of a withdrawn version says so, and that it runs on', async ({ signedIn: page, fixture }) => {
  await page.goto(GUESTBOOK)
  await expect(page.getByTestId('health')).toBeVisible()
  await expect(page.getByTestId('withdrawn')).toHaveCount(0)
  await fixture.control('source', YANKED)
  const note = page.getByTestId('withdrawn')
  await expect(note).toContainText('bp-guestbook 1.0.0 was withdrawn. it forgets its guests')
  await expect(note).toContainText('runs on as it is')
  await note.getByRole('link', { name: 'Look for another version' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Guestbook' })).toBeVisible()
})

test('at 390 pixels it is read without scrolling sideways', async ({ signedIn: page }) => {
  await page.setViewportSize({ width: 390, height: 800 })
  await page.goto('/marketplace/sources')
  await expect(page.getByRole('region', { name: 'acme' })).toBeVisible()
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
})
