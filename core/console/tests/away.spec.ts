/** The Sovereign restarts, or the session ends, while somebody is at a page. */
import type { Page } from '@playwright/test'
import { expect, test } from './support'

const GUESTBOOK = '/environments/acme-dev/applications/guestbook'
/** Longer than the longest pause between two attempts. */
const BACK = { timeout: 15_000 }

const mark = (page: Page) => page.evaluate(() => void ((window as { stays?: boolean }).stays = true))
const isSame = (page: Page) => page.evaluate(() => (window as { stays?: boolean }).stays === true)

test('open pages say that the Sovereign is away, keep what they show, and go on by themselves', async ({ signedIn: page, context, fixture }) => {
  const open = async (path: string, text: string) => {
    const tab = await context.newPage()
    await tab.goto(path)
    await expect(tab.getByRole('main')).toContainText(text)
    await expect(tab.getByTestId('connection')).toHaveText('Live')
    await mark(tab)
    return { tab, text }
  }
  await page.close()
  const tabs = [
    await open('/organizations', 'Acme Corporation'),
    await open(GUESTBOOK, 'All objects are as wanted.'),
    await open(`${GUESTBOOK}/history`, 'Install guestbook'),
    await open('/users', 'bob@example.org'),
    await open('/marketplace?q=guest', 'Visitors leave a line'),
  ]
  const config = await open(`${GUESTBOOK}/config`, 'Replicas')
  await config.tab.getByLabel('Title').fill('Half a sentence')

  await fixture.control('away', { isAway: true })
  for (const { tab, text } of [...tabs, config]) {
    await expect(tab.getByTestId('away')).toContainText('The Sovereign does not answer.')
    await expect(tab.getByTestId('announcer')).toContainText('The Sovereign does not answer.')
    await expect(tab.getByTestId('connection')).toHaveText('Not live, reconnecting…')
    await expect(tab.getByRole('main')).toContainText(text)
  }
  // What is tried meanwhile fails, loses nothing that was typed, and can be tried again.
  await config.tab.getByRole('button', { name: 'Show the Plan' }).click()
  await expect(config.tab.getByRole('alert')).toContainText('The Sovereign did not answer.')
  await fixture.control('phase', { application: 'acme-dev/guestbook', phase: 'Degraded', message: 'while nobody heard' })

  await fixture.control('away', { isAway: false })
  for (const { tab } of [...tabs, config]) {
    await expect(tab.getByTestId('connection')).toHaveText('Live', BACK)
    await expect(tab.getByTestId('away')).toHaveCount(0)
    await expect(tab.getByTestId('announcer')).toContainText('The Sovereign is back.')
    expect(await isSame(tab)).toBe(true)
  }
  await expect(tabs[1]!.tab.getByTestId('health')).toContainText('while nobody heard')
  await expect(config.tab.getByLabel('Title')).toHaveValue('Half a sentence')
  await config.tab.getByRole('button', { name: 'Show the Plan' }).click()
  await expect(config.tab.getByTestId('plan')).toBeVisible()
})

for (const status of [undefined, 503]) {
  test(`pages opened meanwhile come when it is back (${status ?? 'no answer'})`, async ({ signedIn: page, fixture }) => {
    await page.goto('/organizations')
    await expect(page.getByTestId('connection')).toHaveText('Live')
    await mark(page)
    await fixture.control('away', { isAway: true, status })
    await expect(page.getByTestId('away')).toBeVisible()
    // Its code is there, what it shows is not.
    await page.getByRole('link', { name: 'Marketplace' }).click()
    await expect(page.getByRole('alert')).toContainText('failed')
    // Not even the code is there.
    await page.getByRole('link', { name: 'Users' }).click()
    await expect(page.getByRole('alert')).toContainText('It comes as soon as the Sovereign is back.')
    await fixture.control('away', { isAway: false })
    await expect(page.getByRole('row', { name: /bob/ })).toBeVisible(BACK)
    await page.getByRole('link', { name: 'Marketplace' }).click()
    await expect(page.getByRole('link', { name: 'Guestbook' })).toBeVisible()
    await expect(page.getByRole('alert')).toHaveCount(0)
    expect(await isSame(page)).toBe(true)
  })
}

test('what fails while the stream lives is asked again, too', async ({ signedIn: page }) => {
  let refused = 0
  await page.route('**/api/v1/users', (route) => (refused++ < 3 ? route.abort('connectionrefused') : route.continue()))
  await page.goto('/users')
  await expect(page.getByRole('row', { name: /bob/ })).toBeVisible()
  await expect(page.getByRole('alert')).toHaveCount(0)
  expect(refused).toBe(4)
})

test('what the Sovereign refuses is not asked again unasked', async ({ signedIn: page }) => {
  await page.clock.install()
  let asked = 0
  let greeted = 0
  page.on('response', (response) => (greeted += response.url().endsWith('/api/v1/me') ? 1 : 0))
  await page.route('**/api/v1/users', (route) => (asked++, route.fulfill({ status: 403, contentType: 'application/problem+json', body: JSON.stringify({ type: 'forbidden', title: 'List users', status: 403, detail: 'Only a sovereign-admin may.' }) })))
  await page.goto('/organizations')
  // At first, and again with the stream's first word, upon which everything is read anew.
  await expect.poll(() => greeted).toBe(2)
  await page.getByRole('link', { name: 'Users' }).click()
  await expect(page.getByRole('alert')).toContainText('Only a sovereign-admin may.')
  await page.clock.runFor(30_000)
  expect(asked).toBe(1)
})

test('a console that opens while the Sovereign is starting comes by itself', async ({ signedIn: page }) => {
  let answers = 0
  await page.route('**/api/v1/me', (route) => (answers++ < 1 ? route.fulfill({ status: 503, body: 'starting' }) : route.continue()))
  await page.goto('/organizations')
  await expect(page.getByRole('alert')).toContainText('starting')
  await expect(page.getByRole('heading', { level: 2, name: 'Acme Corporation' })).toBeVisible()
})

for (const isDrained of [false, true]) {
  test(`a log that is followed goes on after a restart (${isDrained ? 'drained' : 'cut'})`, async ({ signedIn: page, fixture }) => {
    await page.goto(`${GUESTBOOK}/logs`)
    const log = page.getByRole('region', { name: 'Log of guestbook' })
    await expect(log).toContainText('request 20 answered')
    await expect(page.getByTestId('connection')).toHaveText('Live')
    await fixture.control('away', { isAway: true, isDrained })
    await expect(page.getByText('Following:')).toHaveCount(0)
    await expect(page.getByTestId('connection')).not.toHaveText('Live')
    await expect(log).toContainText('request 20 answered')
    await fixture.control('away', { isAway: false })
    await expect(page.getByText('Following:')).toBeVisible(BACK)
    await expect(log).toContainText('request 21 answered')
    await expect(page.getByRole('alert')).toHaveCount(0)
  })
}

test('when the session ends, one signs in and is back at the same page, and so are the other tabs', async ({ signedIn: page, fixture, context }) => {
  const other = await context.newPage()
  await other.goto('/users')
  await expect(other.getByRole('row', { name: /bob/ })).toBeVisible()
  await page.goto('/marketplace?environment=acme-dev&q=guest')
  await expect(page.getByTestId('connection')).toHaveText('Live')
  await fixture.control('expire')
  for (const tab of [page, other]) {
    await expect(tab.getByRole('heading', { level: 1, name: 'Sign in' })).toBeFocused()
    await expect(tab.getByText('Your session has ended.')).toBeVisible()
  }
  await page.getByRole('link', { name: 'Sign in' }).click()
  await expect(page).toHaveURL('/marketplace?environment=acme-dev&q=guest')
  await expect(page.getByLabel('Search')).toHaveValue('guest')
  await expect(page.getByRole('link', { name: 'Guestbook' })).toBeVisible()
  await expect(page.getByTestId('connection')).toHaveText('Live')
  await other.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
  await expect(other.getByRole('row', { name: /bob/ })).toBeVisible()
})

test('a session’s end is seen by what is tried, too', async ({ signedIn: page, fixture }) => {
  await page.goto(`${GUESTBOOK}/promote`)
  await expect(page.getByLabel(/acme-prod/)).toBeChecked()
  await fixture.control('expire', { keepsStreams: true, writesOnly: true })
  await page.getByRole('button', { name: 'Show the Plan' }).click()
  await expect(page.getByText('Your session has ended.')).toBeVisible()
  await page.getByRole('link', { name: 'Sign in' }).click()
  await expect(page).toHaveURL(`${GUESTBOOK}/promote`)
  await expect(page.getByLabel(/acme-prod/)).toBeChecked()
})
