import type { BrowserContext } from '@playwright/test'
import { expect, signInAs, test, type Fixture } from './support'

const GUESTBOOK = '/environments/acme-dev/applications/guestbook'

async function openTabs(context: BrowserContext, count: number) {
  const tabs = []
  for (let index = 0; index < count; index++) {
    const tab = await context.newPage()
    await tab.goto(GUESTBOOK)
    await expect(tab.getByTestId('connection')).toHaveAttribute('data-state', 'live')
    tabs.push(tab)
  }
  return tabs
}

const streams = async (fixture: Fixture) => (await fixture.control('streams')).open

test('eight tabs share one stream, and all show a change', async ({ signedIn: page, fixture, context }) => {
  await page.close()
  const tabs = await openTabs(context, 8)
  expect(await streams(fixture)).toBe(1)
  await fixture.control('phase', { application: 'acme-dev/guestbook', phase: 'Degraded', message: 'one of two replicas' })
  for (const tab of tabs) await expect(tab.getByTestId('health')).toContainText('one of two replicas')
  await Promise.all(tabs.slice(1).map((tab) => tab.close()))
  await fixture.control('phase', { application: 'acme-dev/guestbook', phase: 'Running', message: 'well again' })
  await expect(tabs[0]!.getByTestId('health')).toContainText('well again')
})

test('the stream ends with the last tab', async ({ signedIn: page, fixture, context }) => {
  const [tab] = await openTabs(context, 1)
  await page.close()
  await tab!.goto('about:blank')
  await expect.poll(() => streams(fixture)).toBe(0)
})

test('a cut stream is resumed where it was', async ({ signedIn: page, fixture }) => {
  await page.goto(GUESTBOOK)
  await expect(page.getByTestId('connection')).toHaveAttribute('data-state', 'live')
  await fixture.control('phase', { application: 'acme-dev/guestbook', phase: 'Degraded', message: 'before' })
  await expect(page.getByTestId('health')).toContainText('before')
  await fixture.control('cut-streams')
  await fixture.control('phase', { application: 'acme-dev/guestbook', phase: 'Failed', message: 'while away' })
  await expect(page.getByTestId('health')).toContainText('while away')
  await expect(page.getByTestId('connection')).toHaveAttribute('data-state', 'live')
})

test('a reset makes every tab read anew', async ({ signedIn: page, fixture, context }) => {
  await page.close()
  const tabs = await openTabs(context, 3)
  await fixture.control('phase', { application: 'acme-dev/guestbook', phase: 'Degraded', message: 'known' })
  await expect(tabs[2]!.getByTestId('health')).toContainText('known')
  await fixture.control('cut-streams')
  // Two changes that the stream forgets: only reading anew shows them.
  await fixture.control('phase', { application: 'acme-dev/guestbook', phase: 'Stale', message: 'forgotten', silent: true })
  await fixture.control('phase', { application: 'acme-dev/blog', phase: 'Running' })
  await fixture.control('forget')
  for (const tab of tabs) await expect(tab.getByTestId('health')).toContainText('forgotten')
})

test('without shared workers one tab leads, and another takes over', async ({ fixture, context, page }) => {
  await signInAs(page, fixture, 'admin')
  await page.close()
  await context.addInitScript(() => Reflect.deleteProperty(globalThis, 'SharedWorker'))
  const tabs = await openTabs(context, 4)
  expect(await tabs[0]!.evaluate(() => 'SharedWorker' in globalThis)).toBe(false)
  expect(await streams(fixture)).toBe(1)
  await fixture.control('phase', { application: 'acme-dev/guestbook', phase: 'Degraded', message: 'by the leader' })
  for (const tab of tabs) await expect(tab.getByTestId('health')).toContainText('by the leader')
  await tabs[0]!.close()
  await fixture.control('phase', { application: 'acme-dev/guestbook', phase: 'Running', message: 'by its successor' })
  for (const tab of tabs.slice(1)) await expect(tab.getByTestId('health')).toContainText('by its successor')
  await expect.poll(() => streams(fixture)).toBe(1)
})

test('a removed user is signed out in every tab', async ({ fixture, context, page }) => {
  await signInAs(page, fixture, 'bob')
  await page.close()
  const tabs = await openTabs(context, 2)
  await fixture.control('remove-user', { username: 'bob' })
  await fixture.control('cut-streams')
  for (const tab of tabs) await expect(tab.getByRole('heading', { name: 'Sign in' })).toBeVisible()
})
