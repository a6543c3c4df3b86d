import { expect, signInAs, test } from './support'

const GUESTBOOK = '/environments/acme-dev/applications/guestbook'

test('known vulnerabilities stand with the way to them, and with what was not compared', async ({ signedIn: page }) => {
  for (const [path, first] of [[GUESTBOOK, 'Application guestbook'], ['/marketplace/catalog/bp-guestbook', 'Blueprint bp-guestbook']] as const) {
    await page.goto(path)
    const panel = page.getByRole('region', { name: 'Known vulnerabilities' })
    await expect(panel.getByTestId('verdict')).toContainText('2 known vulnerabilities in 12 packages.')
    const row = panel.getByRole('row', { name: /RUSTSEC-2020-0071/ })
    await expect(row).toContainText('High')
    await expect(row).toContainText(first)
    await expect(row).toContainText('› time 0.1.40')
    await expect(row).toContainText('0.2.23')
    await expect(panel.getByRole('row', { name: /RUSTSEC-2026-0001/ })).toContainText('no version yet')
    await panel.getByText('Not compared: 1').click()
    await expect(panel.getByText('is made of is not listed')).toBeVisible()
  }
})

test('status has phase, cause and freshness', async ({ signedIn: page }) => {
  await page.goto('/environments/acme-dev/applications/blog')
  const health = page.getByTestId('health')
  await expect(health).toContainText('Degraded')
  await expect(health).toContainText('PodsCrashing')
  await expect(health).toContainText('PHP Fatal error: cannot reach the database')
  await expect(health).toContainText(/observed (just now|\d+ s ago) · degraded for 2 min/)
  await expect(page.getByRole('row', { name: /Deployment/ })).toContainText('Not ready')
  // Freshness ages by itself.
  await expect(health).toContainText(/observed [2-9] s ago/)
})

test('the commit among the facts is the one that changed this Application', async ({ signedIn: page }) => {
  await page.goto('/environments/acme-dev')
  const head = await page.getByRole('region', { name: 'State' }).locator('code').first().getAttribute('title')
  await page.goto(GUESTBOOK)
  const facts = page.getByRole('region', { name: 'Facts' })
  const link = facts.getByRole('link', { name: 'Install guestbook (bp-guestbook 1.0.0)' })
  await expect(link).toBeVisible()
  await expect(link).not.toHaveAttribute('href', new RegExp(head ?? ''))
  await link.click()
  await expect(page.getByRole('heading', { level: 2, name: /Install guestbook/ })).toBeVisible()
  await expect(page.getByText('Runs now')).toBeVisible()
})

test('an Application is opened once something of it is deployed', async ({ signedIn: page, fixture }) => {
  const open = page.getByRole('link', { name: 'Open guestbook in a new tab' })
  for (const path of [GUESTBOOK, '/environments/acme-dev']) {
    await fixture.control('phase', { application: 'acme-dev/guestbook', phase: 'Failed', message: 'no database', nothingDeployed: true })
    await page.goto(path)
    await expect(page.getByText('Failed').first()).toBeVisible()
    await expect(open).toHaveCount(0)
    await fixture.control('phase', { application: 'acme-dev/guestbook', phase: 'Degraded' })
    await expect(open).toBeVisible()
  }
})

test('logs stream, of all containers or of one, and stop when not followed', async ({ signedIn: page }) => {
  await page.goto(`${GUESTBOOK}/logs`)
  const log = page.getByRole('region', { name: 'Log of guestbook' })
  await expect(log).toContainText('guestbook-7c9f/proxy')
  await expect(log).toContainText('request 24 answered')
  await page.getByLabel('Container').selectOption('proxy')
  await expect(log).not.toContainText('web:')
  await expect(log).toContainText('proxy: request 22 answered')
  await page.getByLabel('Follow').uncheck()
  await expect(page.getByText('Following:')).toHaveCount(0)
  await expect(log).toContainText('request 20 answered')
  await expect(log).not.toContainText('request 21 answered')
})

test('an empty log of an Application that crashes says why, until lines come', async ({ signedIn: page, fixture }) => {
  await fixture.control('quiet', { held: true })
  await page.goto('/environments/acme-dev/applications/blog/logs')
  const silence = page.getByTestId('silence')
  await fixture.control('phase', { application: 'acme-dev/blog', phase: 'Degraded', reason: 'CrashLoop', message: 'the container web in the pod blog-0 ended with exit code 3' })
  await expect(silence).toContainText('ends soon after it starts, and waits to be started again')
  await expect(silence).toContainText('exit code 3')
  await expect(silence.getByRole('link', { name: 'See its status' })).toHaveAttribute('href', '/environments/acme-dev/applications/blog')
  await expect(page.getByRole('region', { name: 'Log of blog' })).toBeHidden()
  await fixture.control('quiet', { held: false })
  await expect(page.getByRole('region', { name: 'Log of blog' })).toContainText('web: request 1 answered')
  await expect(silence).toHaveCount(0)

  // One that runs and is quiet has nothing to explain.
  await fixture.control('quiet', { held: true })
  await page.goto(`${GUESTBOOK}/logs`)
  await expect(page.getByText('Following:')).toBeVisible()
  await expect(page.getByRole('region', { name: 'Log of guestbook' })).toBeVisible()
  await expect(silence).toHaveCount(0)
})

test('config is changed through a Plan, only what was touched', async ({ signedIn: page }) => {
  await page.goto(`${GUESTBOOK}/config`)
  await expect(page.getByLabel('Title')).toHaveValue('Welcome')
  await page.getByLabel('Replicas').fill('4')
  await page.getByLabel('Version').selectOption('1.1.0')
  const sent = page.waitForRequest((request) => request.url().endsWith('/plans'))
  await page.getByRole('button', { name: 'Show the Plan' }).click()
  expect((await sent).postDataJSON()).toEqual({ command: 'change', application: 'guestbook', version: '1.1.0', config: { replicas: 4 } })
  await expect(page.getByTestId('plan')).toContainText('1.0.0 → 1.1.0')
  await page.getByRole('button', { name: 'Confirm the change' }).click()
  await expect(page).toHaveURL(GUESTBOOK)
  await expect(page.getByTestId('health')).toContainText('Running')
  await expect(page.getByText('Application of bp-guestbook 1.1.0')).toBeVisible()
})

test('an Application is paused and resumed', async ({ signedIn: page }) => {
  await page.goto(`${GUESTBOOK}/config`)
  await page.getByRole('button', { name: 'Pause' }).click()
  await page.getByRole('button', { name: 'Confirm the change' }).click()
  await expect(page.getByTestId('health')).toContainText('Paused')
  await page.getByRole('link', { name: 'Config' }).click()
  await page.getByRole('button', { name: 'Resume' }).click()
  await page.getByRole('button', { name: 'Confirm the change' }).click()
  await expect(page.getByTestId('health')).toContainText('Running')
})

test('history shows who changed what, and leads back', async ({ signedIn: page }) => {
  await page.goto(`${GUESTBOOK}/history`)
  await expect(page.getByRole('row', { name: /Install guestbook/ })).toContainText('Runs now')
  await page.getByRole('link', { name: /Install guestbook/ }).click()
  await expect(page.getByRole('region', { name: 'What the commit changed' })).toContainText('version: 1.1.0')
  await expect(page.getByText('admin@example.org')).toBeVisible()
  await page.getByRole('button', { name: 'Roll back to this' }).click()
  await expect(page.getByTestId('plan')).toContainText('Roll back guestbook')
  await page.getByTestId('plan').getByRole('button', { name: 'Roll back' }).click()
  await expect(page).toHaveURL(GUESTBOOK)
  await page.getByRole('link', { name: 'History' }).click()
  await expect(page.getByRole('row', { name: /Roll back guestbook/ })).toContainText('rollback')
})

test('who brought a commit is said beside who made it', async ({ signedIn: page, fixture }) => {
  await page.goto(GUESTBOOK)
  const facts = page.getByRole('region', { name: 'Facts' })
  await expect(facts).toContainText(/Install guestbook.*by admin, /)
  await fixture.control('revision', { application: 'acme-dev/guestbook', subject: 'Greet warmly', author: 'Ada Lovelace', pushedBy: 'bob' })
  await expect(facts).toContainText(/Greet warmly.*by Ada Lovelace, pushed by bob, /)
  await page.getByRole('link', { name: 'History' }).click()
  await expect(page.getByRole('row', { name: /Greet warmly/ }).getByRole('cell', { name: 'Ada Lovelace, pushed by bob', exact: true })).toBeVisible()
  await expect(page.getByRole('row', { name: /Install guestbook/ }).getByRole('cell', { name: 'admin', exact: true })).toBeVisible()
  await page.getByRole('link', { name: 'Greet warmly' }).click()
  await expect(page.getByText('Ada Lovelace@example.org, pushed by bob')).toBeVisible()
})

test('promotion opens a pull request, another user approves, it merges and rolls out', async ({ signedIn: page, fixture, browser }) => {
  await page.goto(GUESTBOOK)
  await page.getByRole('link', { name: 'Promote' }).click()
  await expect(page.getByLabel(/acme-prod/)).toBeChecked()
  await page.getByRole('button', { name: 'Show the Plan' }).click()
  await expect(page.getByRole('heading', { name: 'Plan for acme-prod' })).toBeVisible()
  await page.getByRole('button', { name: 'Open pull request' }).click()
  await expect(page).toHaveURL('/environments/acme-prod/pull-requests/1')
  await expect(page.getByText('You opened it, so somebody else approves.')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Merge' })).toHaveCount(0)

  const other = await browser.newContext({ baseURL: fixture.url })
  const bob = await other.newPage()
  await signInAs(bob, fixture, 'bob')
  await bob.goto('/environments/acme-prod')
  await bob.getByRole('link', { name: '#1 Promote guestbook' }).click()
  await expect(bob.getByRole('region', { name: 'Changes of pull request 1' })).toContainText('replicas: 3')
  await bob.getByRole('button', { name: 'Approve' }).click()
  await expect(bob.getByTestId('approvals')).toHaveText('bob')
  await other.close()

  // The author sees the approval without a reload, and merges.
  await expect(page.getByTestId('approvals')).toHaveText('bob')
  await page.getByRole('button', { name: 'Merge' }).click()
  await expect(page.locator('.phase', { hasText: 'Merged' })).toBeVisible()
  await page.getByRole('link', { name: 'See it roll out in acme-prod' }).click()
  await expect(page.getByRole('row', { name: /guestbook/ }).filter({ hasText: 'bp-guestbook' })).toContainText('Running')
})

test('a promotion that is open already is shown, not opened again', async ({ signedIn: page }) => {
  for (let time = 0; time < 2; time++) {
    await page.goto(`${GUESTBOOK}/promote`)
    await page.getByRole('button', { name: 'Show the Plan' }).click()
    await page.getByRole('button', { name: 'Open pull request' }).click()
    await expect(page).toHaveURL('/environments/acme-prod/pull-requests/1')
    await expect(page.getByTestId('announcer')).toHaveText('Pull request 1 is open.')
  }
  await page.goto('/environments/acme-prod/pull-requests')
  await expect(page.getByRole('row', { name: /Promote guestbook/ })).toHaveCount(1)
})

test('a pull request is opened from a branch that was pushed', async ({ signedIn: page, fixture, browser }) => {
  await page.goto('/environments/acme-dev/pull-requests')
  await page.getByRole('button', { name: 'Open pull request' }).click()
  const dialog = page.getByRole('dialog', { name: 'Open a pull request' })
  await expect(dialog.getByRole('group', { name: 'Push command' })).toHaveText('git push origin HEAD:admin/my-change')
  await dialog.getByRole('button', { name: 'Close' }).click()

  const diff = '--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-old\n+new\n'
  for (const [name, subject, commits] of [['bob/other', 'Other', 2], ['admin/tidy', 'Tidy up', 1], ['admin/merged', 'Done', 0]] as const) {
    await fixture.control('push', { environment: 'acme-dev', name, subject, commits, author: name.split('/')[0], diff })
  }
  await page.getByRole('button', { name: 'Open pull request' }).click()
  // Own branches first; those that bring nothing are not offered.
  await expect(dialog.getByLabel('Branch').getByRole('option')).toHaveText(['Choose…', 'admin/tidy', 'bob/other'])
  await dialog.getByRole('button', { name: 'Open', exact: true }).click()
  await expect(dialog.getByLabel('Branch')).toHaveAccessibleDescription(/Choose a branch/)
  await dialog.getByLabel('Branch').selectOption('admin/tidy')
  await expect(dialog.getByLabel('Title')).toHaveValue('Tidy up')
  await dialog.getByLabel('Title').fill('Tidy up the readme')
  await dialog.getByRole('button', { name: 'Open', exact: true }).click()
  await expect(page).toHaveURL('/environments/acme-dev/pull-requests/1')
  await expect(page.getByRole('heading', { level: 1, name: '#1 Tidy up the readme' })).toBeVisible()
  await expect(page.getByRole('region', { name: 'Changes of pull request 1' })).toContainText('new')
  // Nothing asks for an approval here, so nobody is waited for.
  await expect(page.getByText('Nothing stands against merging.')).toBeVisible()
  await expect(page.getByText('somebody else approves')).toHaveCount(0)

  await page.goto('/environments/acme-dev/pull-requests')
  await page.getByRole('button', { name: 'Open pull request' }).click()
  await expect(dialog.getByRole('link', { name: '#1 from admin/tidy' })).toBeVisible()
  await expect(dialog.getByLabel('Branch')).toHaveValue('bob/other')

  // Whose branch it brings approves it as little as who opened it.
  await dialog.getByRole('button', { name: 'Open', exact: true }).click()
  await expect(page).toHaveURL('/environments/acme-dev/pull-requests/2')
  await fixture.control('member', { organization: 'acme', username: 'bob', role: 'org-developer' })
  const other = await browser.newContext({ baseURL: fixture.url })
  const bob = await other.newPage()
  await signInAs(bob, fixture, 'bob')
  await bob.goto('/environments/acme-dev/pull-requests/1')
  await expect(bob.getByRole('button', { name: 'Approve' })).toBeVisible()
  await bob.goto('/environments/acme-dev/pull-requests/2')
  await expect(bob.getByRole('button', { name: 'Merge' })).toBeVisible()
  await expect(bob.getByRole('button', { name: 'Approve' })).toHaveCount(0)
  await other.close()
})

test('a pull request is closed by who opened it, and not by who may only read', async ({ signedIn: page, fixture, browser }) => {
  await page.goto(`${GUESTBOOK}/promote`)
  await page.getByRole('button', { name: 'Show the Plan' }).click()
  await page.getByRole('button', { name: 'Open pull request' }).click()
  await expect(page).toHaveURL('/environments/acme-prod/pull-requests/1')

  await fixture.control('member', { organization: 'acme', username: 'eve', role: 'org-viewer' })
  const other = await browser.newContext({ baseURL: fixture.url })
  const eve = await other.newPage()
  await signInAs(eve, fixture, 'eve')
  await eve.goto('/environments/acme-prod/pull-requests/1')
  await expect(eve.getByText('Your role here is to read.')).toBeVisible()
  await expect(eve.getByRole('button', { name: 'Close without merging' })).toHaveCount(0)

  await page.getByRole('button', { name: 'Close without merging' }).click()
  for (const one of [page, eve]) {
    await expect(one.locator('.title .phase', { hasText: 'Closed' })).toBeVisible()
    await expect(one.getByText('acme-prod stays as it is.')).toBeVisible()
  }
  await expect(page.getByRole('button', { name: /Approve|Merge|Close/ })).toHaveCount(0)
  await other.close()
})

test('deletion asks about data and for the name, and says what was left behind', async ({ signedIn: page }) => {
  await page.goto(GUESTBOOK)
  await page.getByRole('link', { name: 'Delete' }).click()
  await page.getByLabel(/Keep it/).check()
  await page.getByRole('button', { name: 'Show the Plan' }).click()
  await page.getByTestId('plan').getByRole('button', { name: 'Delete' }).click()
  await expect(page.getByLabel('Type “guestbook” to confirm')).toHaveAccessibleDescription(/Type guestbook to confirm/)
  await page.getByLabel('Type “guestbook” to confirm').fill('guestbook')
  await page.getByTestId('plan').getByRole('button', { name: 'Delete' }).click()
  await expect(page.getByTestId('deletion')).toContainText('Waiting for Deployment guestbook')
  await expect(page.getByTestId('deletion')).toContainText('is deleted')
  await expect(page.getByTestId('deletion')).toContainText('PersistentVolumeClaim guestbook/data')
  await page.getByRole('link', { name: 'Back to acme-dev' }).click()
  await expect(page.getByRole('link', { name: 'guestbook', exact: true })).toHaveCount(0)
})

test('an Application that is not there says so', async ({ signedIn: page }) => {
  await page.goto('/environments/acme-dev/applications/nothing')
  await expect(page.getByRole('alert')).toContainText('There is no Application nothing that you may see.')
  await expect(page.getByRole('heading', { level: 1, name: 'nothing' })).toBeVisible()
})

test('of an Application that is not there the sections are not shown, and its log is not asked for', async ({ signedIn: page }) => {
  const asked: string[] = []
  page.on('request', (request) => asked.push(new URL(request.url()).pathname))
  await page.goto('/environments/acme-dev/applications/nothing/logs')
  await expect(page.getByRole('alert')).toContainText('There is no Application nothing that you may see.')
  await expect(page.getByRole('link', { name: 'Back to acme-dev' })).toHaveAttribute('href', '/environments/acme-dev')
  await expect(page.getByRole('navigation', { name: /Sections/ })).toHaveCount(0)
  await expect(page.getByRole('heading', { name: 'Logs' })).toHaveCount(0)
  expect(asked.filter((path) => path.endsWith('/logs') && path.startsWith('/api/'))).toEqual([])
})

for (const status of [403, 404]) {
  test(`a log that is refused with ${status} is asked for again by its reader only`, async ({ signedIn: page }) => {
    let times = 0
    await page.route('**/applications/guestbook/logs?*', async (route) => {
      times++
      await route.fulfill({ status, contentType: 'application/problem+json', body: JSON.stringify({ type: 'refused', title: 'Read the log', detail: 'It is not to be seen.', status }) })
    })
    await page.goto(`${GUESTBOOK}/logs`)
    await expect(page.getByRole('alert')).toContainText('It is not to be seen.')
    // To another tab and back.
    for (const seen of ['hidden', 'visible']) {
      await page.evaluate((state) => {
        Object.defineProperty(document, 'visibilityState', { get: () => state, configurable: true })
        document.dispatchEvent(new Event('visibilitychange'))
      }, seen)
    }
    await page.getByRole('button', { name: 'Try again' }).click()
    await expect.poll(() => times).toBe(2)
    await expect(page.getByRole('alert')).toContainText('It is not to be seen.')
    expect(times).toBe(2)
  })
}
