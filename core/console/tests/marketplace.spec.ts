import type { Page } from '@playwright/test'
import { expect, test } from './support'

const titles = (page: Page) => page.getByRole('main').getByRole('heading', { level: 2 })

test('words are looked for by the Sovereign, which forgives slips and puts the best first', async ({ signedIn: page }) => {
  const asked: string[] = []
  page.on('request', (request) => {
    const url = new URL(request.url())
    if (url.pathname === '/api/v1/blueprints' && url.search !== '') asked.push(url.search)
  })
  await page.clock.install()
  await page.goto('/marketplace')
  await expect(titles(page)).toHaveText(['Every field', 'Guestbook', 'PostgreSQL', 'WordPress'])
  // Nothing is asked while somebody types on, and once for all when they stop.
  await page.clock.pauseAt(Date.now() + 60_000)
  await page.getByLabel('Search').pressSequentially('posgresql')
  await page.clock.runFor(149)
  expect(asked).toEqual([])
  await page.clock.runFor(1)
  await page.clock.resume()
  // Guestbook tells of it, PostgreSQL is it.
  await expect(titles(page)).toHaveText(['PostgreSQL', 'Guestbook'])
  await expect(page.getByRole('status').filter({ hasText: 'Blueprint' })).toHaveText('2 Blueprints')
  expect(asked).toEqual(['?q=posgresql'])
  await page.getByLabel('Category').selectOption('Databases')
  await expect(titles(page)).toHaveText(['PostgreSQL'])
  expect(asked.at(-1)).toBe('?q=posgresql&category=Databases')

  // The address has it all, for a reload and for the way back.
  await page.getByRole('link', { name: 'PostgreSQL' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'PostgreSQL' })).toBeVisible()
  await page.goBack()
  await expect(page.getByLabel('Search')).toHaveValue('posgresql')
  await expect(titles(page)).toHaveText(['PostgreSQL'])
})

test('the last answer stays until the next is there, and one that comes late counts no more', async ({ signedIn: page, fixture }) => {
  await page.goto('/marketplace')
  await page.getByLabel('Search').fill('guest')
  await expect(titles(page)).toHaveText(['Guestbook'])
  await fixture.control('searches', { held: true })
  const first = page.waitForRequest(/q=word/)
  await page.getByLabel('Search').fill('word')
  await first
  await expect(page.locator('.cards')).toHaveAttribute('aria-busy', 'true')
  await expect(titles(page)).toHaveText(['Guestbook'])
  const second = page.waitForRequest(/q=field/)
  await page.getByLabel('Search').fill('field')
  await second
  await page.evaluate(() => {
    const seen: string[] = []
    Object.assign(window, { seen })
    new MutationObserver(() => seen.push(document.querySelector('main')?.innerText ?? '')).observe(document.body, { childList: true, subtree: true, characterData: true })
  })
  await fixture.control('searches', { held: false })
  await expect(titles(page)).toHaveText(['Every field'])
  expect(await page.evaluate(() => (window as unknown as { seen: string[] }).seen.filter((text) => text.includes('WordPress')))).toEqual([])
})

test('that nothing fits is said, with the way back to all', async ({ signedIn: page }) => {
  await page.goto('/marketplace?q=nothing-like-it')
  await expect(page.getByText('No Blueprint fits.')).toBeVisible()
  await expect(titles(page)).toHaveCount(0)
  await page.getByRole('button', { name: 'Show all' }).click()
  await expect(titles(page)).toHaveCount(4)
  await expect(page.getByLabel('Search')).toBeFocused()
  await expect(page).toHaveURL('/marketplace')
})

test('a search that fails says so, and shows no cards for other words', async ({ signedIn: page, fixture }) => {
  await page.goto('/marketplace')
  await expect(titles(page)).toHaveCount(4)
  await fixture.control('searches', { refused: true })
  await page.getByLabel('Search').fill('guest')
  await expect(page.getByRole('alert')).toContainText('The Sovereign is busy.')
  await expect(titles(page)).toHaveCount(0)
  await fixture.control('searches', { refused: false })
  await page.getByRole('button', { name: 'Try again' }).click()
  await expect(titles(page)).toHaveText(['Guestbook'])
  await expect(page.getByRole('alert')).toHaveCount(0)
})
