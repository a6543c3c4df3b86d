import { tabTo } from './keyboard'
import { expect, test, violations } from './support'

const GUESTBOOK = '/environments/acme-dev/applications/guestbook'
const PAGES: [path: string, heading: string][] = [
  ['/organizations', 'Organizations'],
  ['/organizations/acme', 'Acme Corporation'],
  ['/environments/acme-dev', 'acme-dev'],
  ['/environments/acme-prod/pull-requests', 'Pull requests'],
  ['/environments/acme-dev/applications/blog', 'blog'],
  [GUESTBOOK, 'guestbook'],
  [`${GUESTBOOK}/logs`, 'guestbook'],
  [`${GUESTBOOK}/config`, 'guestbook'],
  [`${GUESTBOOK}/history`, 'guestbook'],
  [`${GUESTBOOK}/promote`, 'guestbook'],
  [`${GUESTBOOK}/delete`, 'guestbook'],
  ['/marketplace', 'Marketplace'],
  ['/marketplace/sources', 'Blueprint sources'],
  ['/marketplace/catalog/bp-guestbook', 'Guestbook'],
  ['/marketplace/catalog/bp-every-field/install', 'Install Every field'],
  ['/marketplace/catalog/bp-guestbook/upgrade', 'Upgrade all Guestbook'],
  ['/upgrades', 'Fleet upgrades'],
  ['/upgrades/postgres-3f9a2c1b', 'postgres-3f9a2c1b'],
  ['/users', 'Users'],
  ['/policies', 'Policies'],
  ['/sovereigns', 'Sovereigns'],
  ['/sovereigns/new', 'Provision a Sovereign'],
  ['/sovereigns/omantel.example', 'omantel.example'],
  ['/sovereigns/omantel.example/change', 'Change omantel.example'],
  ['/nowhere', 'There is no such page'],
]

for (const colorScheme of ['light', 'dark'] as const) {
  for (const [path, heading] of PAGES) {
    test(`${path} has no known accessibility fault (${colorScheme})`, async ({ signedIn: page }) => {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await page.goto(path)
      await expect(page.getByRole('heading', { level: 1, name: heading })).toBeVisible()
      await expect(page.getByText('Loading…')).toHaveCount(0)
      expect(await violations(page)).toEqual([])
    })
  }
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`nor do the sign-in page, dialogs, faults and the Plan (${colorScheme})`, async ({ signedIn: page, context, fixture }) => {
    test.setTimeout(90_000)
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await fixture.control('push', { environment: 'acme-dev', name: 'admin/tidy', subject: 'Tidy up', author: 'admin', diff: '--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n' })
    await page.goto('/environments/acme-dev/pull-requests')
    await page.getByRole('button', { name: 'Open pull request' }).click()
    await expect(page.getByRole('dialog').getByLabel('Branch')).toHaveValue('admin/tidy')
    expect(await violations(page), 'Open pull request').toEqual([])
    await page.getByRole('dialog').getByRole('button', { name: 'Open', exact: true }).click()
    await expect(page.getByRole('region', { name: 'Changes of pull request 1' })).toBeVisible()
    expect(await violations(page), 'pull request').toEqual([])

    await page.goto('/organizations/acme')
    for (const name of ['Invite user', 'Create Environment', 'Change role of bob', 'Remove bob', 'Delete Organization']) {
      await page.getByRole('button', { name }).click()
      expect(await violations(page), name).toEqual([])
      await page.keyboard.press('Escape')
      await expect(page.getByRole('dialog')).toHaveCount(0)
      await expect(page.getByRole('button', { name })).toBeFocused()
    }
    await page.getByRole('button', { name: 'Invite user' }).click()
    await page.getByRole('dialog').getByLabel('User name').fill('carol')
    await page.getByRole('dialog').getByRole('button', { name: 'Invite' }).click()
    await expect(page.getByRole('dialog', { name: 'carol is invited' })).toBeVisible()
    expect(await violations(page), 'one-time link').toEqual([])
    await page.goto('/policies')
    await page.getByRole('button', { name: 'Create policy' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
    await expect(page.getByRole('dialog')).toContainText('Choose at least one Environment.')
    expect(await violations(page), 'policy').toEqual([])

    await page.goto('/marketplace/catalog/bp-guestbook/install?environment=acme-dev')
    await page.getByLabel('Application name').fill('visitors')
    await page.getByLabel('Title').fill('forbidden')
    await page.getByLabel('Replicas').fill('many')
    await page.getByRole('button', { name: 'Show the Plan' }).click()
    await expect(page.getByRole('alert')).toBeVisible()
    expect(await violations(page), 'faults').toEqual([])
    await page.getByLabel('Title').fill('ours')
    await page.getByLabel('Replicas').fill('2')
    await page.getByRole('button', { name: 'Show the Plan' }).click()
    await expect(page.getByTestId('plan')).toBeVisible()
    expect(await violations(page), 'plan').toEqual([])
    await page.goto(`${GUESTBOOK}/history`)
    await page.getByRole('link', { name: /Install guestbook/ }).click()
    await expect(page.getByRole('region', { name: 'What the commit changed' })).toBeVisible()
    expect(await violations(page), 'a commit').toEqual([])
    await page.goto(`${GUESTBOOK}/delete`)
    await page.getByRole('button', { name: 'Show the Plan' }).click()
    await page.getByLabel('Type “guestbook” to confirm').fill('guestbook')
    expect(await violations(page), 'deletion planned').toEqual([])
    await page.getByTestId('plan').getByRole('button', { name: 'Delete' }).click()
    await expect(page.getByTestId('deletion')).toContainText('is deleted')
    expect(await violations(page), 'deletion').toEqual([])
    await context.clearCookies()
    await page.goto('/')
    await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible()
    expect(await violations(page), 'sign-in').toEqual([])
  })
}

test('everything up to an install is done with the keyboard', async ({ signedIn: page }) => {
  await page.goto('/environments/acme-dev')
  await expect(page.getByRole('link', { name: 'guestbook', exact: true })).toBeVisible()
  await page.keyboard.press('Tab')
  await expect(page.getByRole('link', { name: 'Skip to content' })).toBeFocused()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('main')).toBeFocused()
  await tabTo(page, 'Install Application')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name: 'Marketplace' })).toBeFocused()
  await tabTo(page, 'Guestbook')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name: 'Guestbook' })).toBeFocused()
  await tabTo(page, 'Install')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name: 'Install Guestbook' })).toBeFocused()
  await tabTo(page, 'Application name')
  await page.keyboard.press('Control+a')
  await page.keyboard.type('visitors')
  await tabTo(page, 'Show the Plan')
  await page.keyboard.press('Space')
  await expect(page.getByRole('heading', { name: 'Plan for acme-dev' })).toBeFocused()
  await tabTo(page, 'Install')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name: 'visitors' })).toBeFocused()
  // Back and forth keeps the same places.
  await page.goBack()
  await expect(page.getByRole('heading', { level: 1, name: 'Install Guestbook' })).toBeFocused()
})

for (const width of [320, 390]) {
  test(`in a window of ${width} pixels the header has two rows, and its links are in a menu for the keyboard, too`, async ({ signedIn: page }) => {
    await page.setViewportSize({ width, height: 640 })
    await page.goto('/organizations')
    await expect(page.getByTestId('connection')).toHaveText('Live')
    const menu = page.getByRole('button', { name: 'Menu' })
    const links = page.getByRole('navigation', { name: 'Main' }).getByRole('link')
    // A row: what shares some height.
    const rows = await page.locator('.brand, .menu, .live, .user, .top-end button').evaluateAll((all) => {
      const boxes = all.map((one) => one.getBoundingClientRect()).sort((left, right) => left.top - right.top)
      return boxes.filter((box, index) => boxes.slice(0, index).every((before) => before.bottom <= box.top)).length
    })
    expect(rows).toBe(2)
    await expect(menu).toHaveAttribute('aria-expanded', 'false')
    await expect(links).toHaveCount(0)

    await tabTo(page, 'Menu ▾')
    await page.keyboard.press('Enter')
    await expect(menu).toHaveAttribute('aria-expanded', 'true')
    await expect(links).toHaveText(['Organizations', 'Marketplace', 'Upgrades', 'Policies', 'Users', 'Sovereigns'])
    expect(await violations(page)).toEqual([])
    await page.keyboard.press('Tab')
    await page.keyboard.press('Escape')
    await expect(menu).toBeFocused()
    await expect(links).toHaveCount(0)
    await page.keyboard.press('Enter')
    await tabTo(page, 'Users')
    await page.keyboard.press('Enter')
    await expect(page.getByRole('heading', { level: 1, name: 'Users' })).toBeFocused()
    await expect(menu).toHaveAttribute('aria-expanded', 'false')

    // A wide window has room for them.
    await page.setViewportSize({ width: 1180, height: 640 })
    await expect(menu).toBeHidden()
    await expect(links).toHaveCount(6)
  })

  test(`a window of ${width} pixels needs no sideways scrolling, nor does a table in it`, async ({ signedIn: page }) => {
    await page.setViewportSize({ width, height: 640 })
    for (const [path, heading] of PAGES) {
      await page.goto(path)
      await expect(page.getByRole('heading', { level: 1, name: heading })).toBeVisible()
      await expect(page.getByText('Loading…')).toHaveCount(0)
      const over = await page.evaluate(() => [document.documentElement, ...document.querySelectorAll('.table')].map((one) => one.scrollWidth - one.clientWidth))
      expect(Math.max(...over), path).toBeLessThanOrEqual(0)
    }
    // A cell says by itself what its column would.
    await page.goto('/organizations/acme')
    const cell = page.getByRole('row', { name: /acme-prod/ }).getByRole('cell', { name: 'Production' })
    expect(await cell.evaluate((one) => getComputedStyle(one, '::before').content)).toContain('Stage')
  })
}

for (const width of [390, 1280]) {
  test(`a diff shows its lines to their ends in a window of ${width} pixels`, async ({ signedIn: page, fixture }) => {
    const line = `+  image: registry.example.org:5000/web:1.0.0@sha256:${'0'.repeat(64)} ${'and more words '.repeat(12)}`
    await fixture.control('push', { environment: 'acme-dev', name: 'admin/wide', subject: 'Wide', author: 'admin', diff: `--- a/x\n+++ b/x\n@@ -0,0 +1,1 @@\n${line}\n` })
    await page.setViewportSize({ width, height: 800 })
    await page.goto('/environments/acme-dev/pull-requests')
    await page.getByRole('button', { name: 'Open pull request' }).click()
    await page.getByRole('button', { name: 'Open', exact: true }).click()
    const diff = page.getByRole('region', { name: 'Changes of pull request 1' })
    await expect(diff).toContainText('registry.example.org')
    expect(await diff.evaluate((one) => one.scrollWidth - one.clientWidth)).toBeLessThanOrEqual(0)
  })
}

test('a long diff fills the window, and no more of the page than that', async ({ signedIn: page, fixture }) => {
  const lines = Array.from({ length: 200 }, (_, number) => `+line ${number}`).join('\n')
  await fixture.control('push', { environment: 'acme-dev', name: 'admin/long', subject: 'Long', author: 'admin', diff: `--- a/x\n+++ b/x\n@@ -0,0 +1,200 @@\n${lines}\n` })
  await page.goto('/environments/acme-dev/pull-requests')
  await page.getByRole('button', { name: 'Open pull request' }).click()
  await page.getByRole('button', { name: 'Open', exact: true }).click()
  const diff = page.getByRole('region', { name: 'Changes of pull request 1' })
  await expect(diff).toBeVisible()
  const { height, rest } = await diff.evaluate((one) => ({
    height: one.clientHeight,
    // What is hidden to the eye in the box makes the page no longer.
    rest: document.documentElement.scrollHeight - (document.querySelector('main')?.getBoundingClientRect().bottom ?? 0) - scrollY,
  }))
  expect(height).toBeGreaterThan(0.8 * 800)
  expect(height).toBeLessThan(800)
  expect(rest).toBeLessThanOrEqual(1)
})
