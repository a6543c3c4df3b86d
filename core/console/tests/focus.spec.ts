/** Where the keyboard is: always somewhere, always seen, and in a dialog until it closes. */
import type { Page } from '@playwright/test'
import { expect, test } from './support'

const GUESTBOOK = '/environments/acme-dev/applications/guestbook'

/** Presses Tab until the page was gone round once; what had the focus, and whether it could be seen. */
async function around(page: Page): Promise<{ what: string; isSeen: boolean }[]> {
  const stops: { what: string; isSeen: boolean }[] = []
  for (let presses = 0; presses < 80; presses++) {
    await page.keyboard.press('Tab')
    const stop = await page.evaluate(() => {
      const element = document.activeElement
      if (!element || element === document.body) return undefined
      const isFirst = element.hasAttribute('data-stop')
      element.setAttribute('data-stop', '')
      const ring = (pseudo?: string) => {
        const style = getComputedStyle(element, pseudo)
        return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2
      }
      const box = element.getBoundingClientRect()
      const isOnScreen = box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth
      return { isFirst, what: element.outerHTML.slice(0, 120), isSeen: isOnScreen && (ring() || ring('::after')) }
    })
    if (!stop || stop.isFirst) break
    stops.push(stop)
  }
  return stops
}

test('what has the focus is seen, on every page and however narrow', async ({ signedIn: page }) => {
  test.setTimeout(90_000)
  for (const width of [390, 1280]) {
    await page.setViewportSize({ width, height: 800 })
    for (const path of ['/organizations', '/organizations/acme', '/environments/acme-dev', GUESTBOOK, `${GUESTBOOK}/config`, `${GUESTBOOK}/history`, '/marketplace', '/marketplace/sources', '/marketplace/catalog/bp-every-field/install', '/marketplace/catalog/bp-every-field/upgrade', '/upgrades', '/upgrades/postgres-3f9a2c1b', '/users', '/policies']) {
      await page.goto(path)
      await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
      await expect(page.getByText('Loading…')).toHaveCount(0)
      // With the links that a narrow window keeps in a menu.
      const menu = page.getByRole('button', { name: 'Menu' })
      if (await menu.isVisible()) {
        await menu.click()
        await page.evaluate(() => (document.activeElement as HTMLElement).blur())
      }
      const stops = await around(page)
      expect(stops.length, path).toBeGreaterThan(8)
      expect(stops.filter((stop) => !stop.isSeen), `${path} at ${width}`).toEqual([])
    }
  }
})

test('a dialog keeps the focus until it closes', async ({ signedIn: page }) => {
  for (const [path, name] of [
    ['/organizations', 'Create Organization'], ['/organizations/acme', 'Invite user'], ['/organizations/acme', 'Change role of bob'],
    ['/organizations/acme', 'Delete Organization'], ['/users', 'Invite user'], ['/policies', 'Change two-eyes'], ['/environments/acme-dev/pull-requests', 'Open pull request'],
  ] as const) {
    await page.goto(path)
    await page.getByRole('button', { name }).focus()
    await page.keyboard.press('Enter')
    await expect(page.getByRole('dialog')).toBeVisible()
    for (let presses = 0; presses < 15; presses++) {
      // Between the last and the first stands the browser itself, where the page has no focus.
      expect(await page.evaluate(() => document.activeElement === document.body || document.activeElement?.closest('dialog') !== null), name).toBe(true)
      await page.keyboard.press('Tab')
    }
    await page.keyboard.press('Escape')
    await expect(page.getByRole('dialog')).toHaveCount(0)
    await expect(page.getByRole('button', { name })).toBeFocused()
  }
})

test('when a row goes with the button that had the focus, its table’s heading has it', async ({ signedIn: page }) => {
  await page.goto('/organizations/acme')
  await page.getByRole('button', { name: 'Remove bob' }).focus()
  await page.keyboard.press('Enter')
  await page.getByLabel('Type “bob” to confirm').fill('bob')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('row', { name: /bob/ })).toHaveCount(0)
  await expect(page.getByRole('heading', { level: 2, name: 'Members' })).toBeFocused()
  await page.keyboard.press('Tab')
  await expect(page.getByRole('button', { name: 'Invite user' })).toBeFocused()
})

test('so it is on the way back from a Plan, and when an approval makes its button needless', async ({ signedIn: page, fixture }) => {
  await page.goto(`${GUESTBOOK}/promote`)
  await page.getByRole('button', { name: 'Show the Plan' }).click()
  await page.getByRole('button', { name: 'Back' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'guestbook' })).toBeFocused()
  await page.getByRole('button', { name: 'Show the Plan' }).click()
  await page.getByRole('button', { name: 'Open pull request' }).click()
  await expect(page.getByRole('heading', { level: 1 })).toBeFocused()
  await fixture.control('approve', { pull: 'acme-prod/1', username: 'bob' })
  await page.getByRole('button', { name: 'Merge' }).click()
  await expect(page.getByText('See it roll out')).toBeVisible()
  await expect(page.getByRole('heading', { level: 2, name: 'Approval' })).toBeFocused()
})

test('an address that leads nowhere is in no part of the console', async ({ signedIn: page }) => {
  await page.goto('/nowhere')
  await expect(page.getByRole('heading', { level: 1, name: 'There is no such page' })).toBeVisible()
  await expect(page.getByRole('navigation', { name: 'Main' }).locator('[aria-current]')).toHaveCount(0)
})
