/** Fleet upgrades: planned, begun and steered, seen live, by whom it may be. */
import type { Page } from '@playwright/test'
import { tabTo } from './keyboard'
import { expect, signInAs, test, violations, type Fixture } from './support'

const BLUEPRINT = '/marketplace/catalog/bp-wordpress'
const SEEDED = '/upgrades/postgres-3f9a2c1b'

/** An older wiki in both Environments of acme, and one in acme-dev that is paused. */
async function install(fixture: Fixture) {
  for (const [environment, name, phase] of [['acme-dev', 'wiki', 'Running'], ['acme-prod', 'wiki', 'Running'], ['acme-dev', 'draft', 'Paused']]) {
    await fixture.control('install', { environment, name, phase, blueprint: 'bp-wordpress', version: '1.0.0' })
  }
}

async function plan(page: Page) {
  await page.goto(`${BLUEPRINT}/upgrade`)
  await page.getByLabel('Of Organization').selectOption({ label: 'acme' })
  await page.getByRole('button', { name: 'Show the Plan' }).click()
  await expect(page.getByRole('heading', { name: 'Plan: 2 Applications in 2 waves' })).toBeFocused()
}

async function begin(page: Page) {
  await page.getByRole('button', { name: 'Upgrade 2 Applications' }).click()
  await expect(page.getByRole('heading', { level: 1, name: /^wordpress-/ })).toBeFocused()
}

const wave = (page: Page, name: string) => page.getByRole('region', { name })
const phase = (page: Page, name: string) => page.locator('.title .phase', { hasText: name })

test('one is planned from the Blueprint, begun, and goes on wave by wave', async ({ signedIn: page, fixture, context }) => {
  await install(fixture)
  await page.goto(`${BLUEPRINT}?version=1.1.0`)
  await page.getByRole('link', { name: 'Upgrade all…' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Upgrade all WordPress' })).toBeFocused()
  await expect(page.getByLabel('To version')).toHaveValue('1.1.0')
  await plan(page)
  await expect(wave(page, 'Wave 1: Development').getByRole('row', { name: /wiki/ })).toContainText('1.0.0 → 1.1.0')
  await expect(wave(page, 'Wave 2: Production').getByRole('row', { name: /wiki/ })).toContainText('pull request (two-eyes)')
  await expect(wave(page, 'Left out').getByRole('row', { name: /draft/ })).toContainText('It is paused')
  await expect(page.getByText('wiki in acme-prod: The Environment has no quota.')).toBeVisible()
  expect(await violations(page), 'plan').toEqual([])

  await fixture.control('pace', { held: true })
  await begin(page)
  await expect(wave(page, 'Wave 1: Development').getByRole('row', { name: /wiki/ })).toContainText('Rolling out')
  await expect(wave(page, 'Wave 2: Production').getByRole('row', { name: /wiki/ })).toContainText('Waiting')
  await fixture.control('pace', { held: false })
  await expect(wave(page, 'Wave 1: Development').getByRole('row', { name: /wiki/ })).toContainText('Done')
  await expect(wave(page, 'Wave 2: Production').getByRole('row', { name: /wiki/ })).toContainText('Proposed')
  await expect(page.getByRole('progressbar', { name: 'Applications that are through' })).toHaveAttribute('value', '1')
  expect(await violations(page), 'under way').toEqual([])

  // It waits for the pull request, wherever that is merged.
  const other = await context.newPage()
  await other.goto('/environments/acme-prod/pull-requests/1')
  await fixture.control('approve', { pull: 'acme-prod/1', username: 'bob' })
  await other.getByRole('button', { name: 'Merge' }).click()
  await expect(phase(page, 'Completed')).toBeVisible()
  await expect(page.getByTestId('announcer')).toContainText('is now Completed')
  await expect(page.getByRole('button', { name: 'Cancel upgrade' })).toHaveCount(0)
  await page.getByRole('link', { name: 'pull request 1' }).click()
  await expect(page.getByRole('heading', { level: 1, name: /Change wiki/ })).toBeVisible()
})

test('a failure stops it with the reason; mended, it is resumed, and it can be cancelled', async ({ signedIn: page, fixture }) => {
  await install(fixture)
  await fixture.control('phase', { application: 'acme-dev/wiki', phase: 'Failed', message: 'no image' })
  await plan(page)
  await begin(page)
  const stop = page.getByTestId('stop')
  await expect(stop).toContainText('wave 1 of 2: wiki in acme-dev: it is Failed: no image')
  await expect(page.getByTestId('announcer')).toContainText('is now Stopped')
  await expect(wave(page, 'Wave 2: Production').getByRole('row', { name: /wiki/ })).toContainText('Waiting')
  expect(await violations(page), 'stopped').toEqual([])
  const path = new URL(page.url()).pathname
  await page.getByRole('navigation', { name: 'Breadcrumb' }).getByRole('link', { name: 'Fleet upgrades' }).click()
  const row = page.getByRole('row', { name: /wordpress-/ })
  await expect(row).toContainText('no image')
  await expect(row).toContainText('wave 1 of 2')

  await page.goto(path)
  await fixture.control('phase', { application: 'acme-dev/wiki', phase: 'Running', message: '' })
  await page.getByRole('button', { name: 'Resume' }).click()
  await expect(wave(page, 'Wave 1: Development').getByRole('row', { name: /wiki/ })).toContainText('Done')
  await expect(stop).toHaveCount(0)
  await expect(wave(page, 'Wave 2: Production').getByRole('row', { name: /wiki/ })).toContainText('Proposed')
  await page.getByRole('button', { name: 'Cancel upgrade' }).click()
  await expect(phase(page, 'Cancelled')).toBeVisible()
  await expect(page.locator('main')).toContainText('somebody cancelled it')
  await expect(page.getByRole('button', { name: 'Resume' })).toHaveCount(0)
})

test('only the plan that was seen is begun', async ({ signedIn: page, fixture }) => {
  await install(fixture)
  // It stops in its first wave, so that nothing more changes by itself.
  await fixture.control('phase', { application: 'acme-dev/wiki', phase: 'Failed', message: 'no image' })
  await plan(page)
  await fixture.control('install', { environment: 'acme-dev', name: 'journal', phase: 'Running', blueprint: 'bp-wordpress', version: '1.0.0' })
  await page.getByRole('button', { name: 'Upgrade 2 Applications' }).click()
  await expect(page.getByRole('alert')).toContainText('The plan has changed')
  await expect(page.getByRole('heading', { name: 'Plan: 3 Applications in 2 waves' })).toBeFocused()
  await page.getByRole('button', { name: 'Upgrade 3 Applications' }).click()
  await expect(wave(page, 'Wave 1: Development').getByRole('row')).toHaveCount(3)
  await expect(page.getByTestId('stop')).toContainText('no image')

  // Another one of the same Applications has to wait, which a new plan does not change.
  await page.goto(`${BLUEPRINT}/upgrade`)
  await page.getByLabel('Of Organization').selectOption({ label: 'acme' })
  await page.getByRole('button', { name: 'Show the Plan' }).click()
  await page.getByRole('button', { name: /^Upgrade \d Application/ }).click()
  await expect(page.getByRole('alert')).toContainText('that is not over: wordpress-')
})

test('what is wrong with the form is said beside its field, and nothing is sent', async ({ signedIn: page }) => {
  const asked: string[] = []
  page.on('request', (request) => { if (request.method() === 'POST') asked.push(request.url()) })
  await page.goto(`${BLUEPRINT}/upgrade`)
  for (const stage of ['Proof of concept', 'Development', 'User acceptance', 'Staging', 'Production']) await page.getByLabel(stage).uncheck()
  await page.getByLabel('Applications at a time').fill('many')
  await page.getByLabel('Minutes until each must run').fill('0')
  await page.getByRole('button', { name: 'Show the Plan' }).click()
  await expect(page.getByRole('group', { name: 'Waves' })).toBeFocused()
  await expect(page.getByRole('group', { name: 'Waves' })).toHaveAccessibleDescription(/Choose at least one stage/)
  await expect(page.getByLabel('Applications at a time')).toHaveAccessibleDescription(/from 1 to 500/)
  await expect(page.getByLabel('Minutes until each must run')).toHaveAccessibleDescription(/from 1 to 1440/)
  expect(await violations(page), 'faults').toEqual([])
  expect(asked).toEqual([])
  await page.getByLabel('Production').check()
  await page.getByLabel('Applications at a time').fill('')
  await page.getByLabel('Minutes until each must run').fill('')
  await page.getByRole('button', { name: 'Show the Plan' }).click()
  await expect(page.getByText('No Application has an older version.')).toBeVisible()
  await expect(page.getByRole('button', { name: /^Upgrade/ })).toHaveCount(0)
})

test('everything of it is done with the keyboard', async ({ signedIn: page, fixture }) => {
  await install(fixture)
  await fixture.control('phase', { application: 'acme-dev/wiki', phase: 'Failed', message: 'no image' })
  await page.goto(BLUEPRINT)
  await expect(page.getByRole('link', { name: 'Upgrade all…' })).toBeVisible()
  await tabTo(page, 'Upgrade all…')
  await page.keyboard.press('Enter')
  await expect(page.getByLabel('Of Organization')).toBeVisible()
  await tabTo(page, 'All Organizationsacmeglobex')
  await page.keyboard.press('ArrowDown')
  await tabTo(page, 'Show the Plan')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { name: /^Plan: 2 Applications/ })).toBeFocused()
  await tabTo(page, 'Upgrade 2 Applications')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name: /^wordpress-/ })).toBeFocused()
  await expect(page.getByTestId('stop')).toBeVisible()
  await fixture.control('phase', { application: 'acme-dev/wiki', phase: 'Running', message: '' })
  await tabTo(page, 'Resume')
  await page.keyboard.press('Enter')
  // The button goes with what it was for; the keyboard stays on the page.
  await expect(phase(page, 'Progressing')).toBeVisible()
  await expect(page.getByRole('heading', { level: 1 })).toBeFocused()
  await tabTo(page, 'Cancel upgrade')
  await page.keyboard.press('Enter')
  await expect(phase(page, 'Cancelled')).toBeVisible()
})

test('whoever does not administer the Organization sees it, and is offered nothing', async ({ page, fixture }) => {
  await signInAs(page, fixture, 'bob')
  await page.goto(SEEDED)
  await expect(page.getByTestId('stop')).toContainText('guestbook-db in acme-stg')
  await expect(page.locator('main')).toContainText('begun by admin')
  for (const name of ['Resume', 'Cancel upgrade']) await expect(page.getByRole('button', { name })).toHaveCount(0)
  await page.goto(BLUEPRINT)
  await expect(page.getByRole('link', { name: 'Install' })).toBeVisible()
  await expect(page.getByRole('link', { name: 'Upgrade all…' })).toHaveCount(0)
})

test('of another Organization’s there is nothing to be seen', async ({ page, fixture }) => {
  await signInAs(page, fixture, 'eve')
  await page.goto('/upgrades')
  await expect(page.getByText('No fleet upgrade yet.')).toBeVisible()
  await page.goto(SEEDED)
  await expect(page.getByRole('alert')).toContainText('There is none.')
})
