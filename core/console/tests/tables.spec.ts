/** Tables hold what a Sovereign lets people write, in whatever room there is. */
import type { Page } from '@playwright/test'
import { expect, test } from './support'

const BLOG = '/environments/acme-dev/applications/blog'
const TABLES = ['/organizations/acme', '/environments/acme-dev', '/environments/acme-prod/pull-requests', BLOG, `${BLOG}/history`, '/upgrades', '/upgrades/postgres-3f9a2c1b', '/users', '/policies', '/marketplace/sources']

async function show(page: Page, path: string) {
  await page.goto(path)
  await expect(page.locator('main table').first()).toBeVisible()
  await expect(page.getByText('Loading…')).toHaveCount(0)
}

for (const width of [320, 390, 640, 768, 900, 1024, 1280]) {
  test(`at ${width} pixels no long word makes a table hide its end, or a column too narrow to read`, async ({ signedIn: page, fixture }) => {
    await fixture.control('reset', { seed: 'long' })
    await page.setViewportSize({ width, height: 800 })
    for (const path of TABLES) {
      await show(page, path)
      const found = await page.evaluate(() => {
        const tables = [...document.querySelectorAll('.table')]
        const cells = tables.flatMap((table) => [...table.querySelectorAll<HTMLElement>('tbody th, tbody td:not(.end)')].filter((cell) => cell.innerText !== ''))
        return {
          over: [document.documentElement, ...tables].filter((one) => one.scrollWidth > one.clientWidth).length,
          // What stands in a cell, a button or a word, ends where its table does.
          outside: tables.flatMap((table) => {
            const end = table.getBoundingClientRect().right + 1
            return [...table.querySelectorAll<HTMLElement>('tbody *')].filter((one) => !one.closest('.visually-hidden') && one.getBoundingClientRect().right > end).map((one) => one.outerHTML)
          }),
          narrow: cells.filter((cell) => cell.getBoundingClientRect().width < 80).map((cell) => cell.innerText),
        }
      })
      expect(found, path).toEqual({ over: 0, outside: [], narrow: [] })
    }
  })
}

test('as cards, rows keep a cell for every column, for those who hear them', async ({ signedIn: page, context }) => {
  await page.setViewportSize({ width: 390, height: 800 })
  const session = await context.newCDPSession(page)
  for (const path of TABLES.filter((one) => !one.includes('pull-requests'))) {
    await show(page, path)
    // The browser's own tree, since layout decides what of it is left.
    const { nodes } = await session.send('Accessibility.getFullAXTree')
    const byId = new Map(nodes.map((node) => [node.nodeId, node]))
    const below = (node: (typeof nodes)[number], roles: RegExp): typeof nodes =>
      (node.childIds ?? []).flatMap((id) => {
        const child = byId.get(id)
        if (!child) return []
        return !child.ignored && roles.test(String(child.role?.value)) ? [child] : below(child, roles)
      })
    const tables = nodes.filter((node) => node.role?.value === 'table')
    expect(tables.length, path).toBeGreaterThan(0)
    for (const table of tables) {
      const [heading, ...rows] = below(table, /^row$/).map((row) => below(row, /^(cell|rowheader|columnheader)$/).map((cell) => String(cell.name?.value)))
      expect(rows.length, path).toBeGreaterThan(0)
      for (const row of rows) expect(row.length, `${path}: ${row.join(' | ')}`).toBe(heading?.length)
    }
  }
})

test('as cards, what a row offers is reached with the keyboard and seen', async ({ signedIn: page }) => {
  await page.setViewportSize({ width: 390, height: 800 })
  await show(page, '/organizations/acme')
  await page.getByRole('row', { name: /bob/ }).getByRole('button', { name: 'Change role of bob' }).focus()
  await page.keyboard.press('Tab')
  const remove = page.getByRole('button', { name: 'Remove bob' })
  await expect(remove).toBeFocused()
  await expect(remove).toBeInViewport({ ratio: 1 })
  await page.keyboard.press('Enter')
  await expect(page.getByRole('dialog', { name: 'Remove bob from acme' })).toBeVisible()
})
