/**
 * The story in a browser, against a running Sovereign that is still empty:
 *
 *     BASE_URL=http://127.0.0.1:8080 SIGN_IN_LINK=… npx playwright test --project=story
 *
 * SIGN_IN_LINK is the one-time link that `catalyst up` prints. SCREENSHOT=path
 * keeps a picture of the running Application's page.
 *
 * The chapters share the Sovereign and the people; each leaves what the next needs.
 */
import { expect, test, type Page, type Response } from '@playwright/test'
import { tabTo } from '../keyboard'
import { Clone, deviceToken } from './git'
import { examine, Person } from './people'

const origin = process.env.BASE_URL ?? ''
const link = process.env.SIGN_IN_LINK ?? ''
const ENTRY = 'Greetings from the first visitor'
const GUESTBOOK = '/environments/acme-dev/applications/guestbook'
/** How soon a change of access must show in a browser that has nothing to do with it (ms). */
const SECONDS = 10_000
/** How soon a change of an Application must show on its own page (ms). */
const ROLLOUT = 90_000

test.describe.configure({ mode: 'serial' })
test.skip(origin === '' || link === '', 'BASE_URL and SIGN_IN_LINK name no Sovereign')

/** sovereign-admin; org-admin of acme; org-developer of acme. */
let admin: Person, alice: Person, bob: Person
/** alice's tab with the guestbook itself. */
let guestbook: Page
let clone: Clone

test.beforeAll(async ({ browser }) => {
  admin = await Person.arrives(browser, process.env.ADMIN ?? 'sovereign-admin')
  alice = await Person.arrives(browser, 'alice')
  bob = await Person.arrives(browser, 'bob')
})

test.afterEach(() => {
  for (const person of [admin, alice, bob]) expect(person.complaints, `${person.name}'s browser console stays clean`).toEqual([])
})

test.afterAll(async () => {
  clone?.remove()
  for (const person of [admin, alice, bob]) await person?.context.close()
})

test('the first sign-in needs a keyboard and the one-time link', async () => {
  const { page, password } = admin
  await page.goto(link)
  await examine(page)
  await tabTo(page, 'New password')
  await page.keyboard.type(password)
  await tabTo(page, 'The same password again')
  await page.keyboard.type(password)
  await page.keyboard.press('Enter')
  // It leads to the console, signed in.
  await expect(page.getByText(`Signed in as ${admin.name}`)).toBeAttached({ timeout: SECONDS })

  // The link was good for one time.
  await page.goto(link)
  await expect(page.getByLabel('New password')).toHaveCount(0)
  await examine(page)

  // Where nobody is signed in, the issuer asks.
  await admin.context.clearCookies()
  await page.goto('/')
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible()
  await examine(page)
  await tabTo(page, 'Sign in')
  await page.keyboard.press('Enter')
  await expect(page.getByLabel('User name')).toBeVisible()
  await examine(page)
  await tabTo(page, 'User name')
  await page.keyboard.type(admin.name)
  await tabTo(page, 'Password')
  await page.keyboard.type(password)
  const cookies: string[] = []
  const note = async (response: Response) => {
    for (const { name, value } of await response.headersArray()) if (name.toLowerCase() === 'set-cookie') cookies.push(value)
  }
  page.on('response', note)
  await page.keyboard.press('Enter')
  await expect(page.getByText(`Signed in as ${admin.name}`)).toBeAttached()
  await admin.console.live()
  page.off('response', note)

  // Host-only, and out of reach of scripts: Applications share the site.
  const session = cookies.find((one) => one.startsWith('catalyst_session='))
  expect(session).toMatch(/; HttpOnly/i)
  expect(session).toMatch(/; SameSite=Lax/i)
  for (const cookie of cookies) expect(cookie).not.toMatch(/; *Domain/i)
  expect(await page.evaluate(() => document.cookie)).toBe('')
  await examine(page)
})

test('an Organization gets two Environments and its people', async ({ browser }) => {
  await admin.console.createOrganization('acme', 'Acme')
  await admin.console.createEnvironment('acme', 'dev')
  await admin.console.createEnvironment('acme', 'prod')
  await alice.joins(await admin.console.invite('acme', 'alice', 'Org admin'))
  await examine(admin.page)

  // An org-admin invites as well.
  await bob.joins(await alice.console.invite('acme', 'bob', 'Org developer'))
  await examine(alice.page)
  await admin.page.goto('/users')
  await expect(admin.page.getByRole('row', { name: /^bob\b/ })).toBeVisible()
  await examine(admin.page)

  // Somebody who is a member of nothing sees nothing.
  const stranger = await Person.arrives(browser, 'mallory')
  await admin.console.createOrganization('globex', 'Globex')
  await stranger.joins(await admin.console.invite('globex', 'mallory', 'Org admin'))
  await stranger.page.goto('/organizations')
  await expect(stranger.page.getByRole('link', { name: 'Globex' })).toBeVisible()
  await expect(stranger.page.getByText('Acme')).toHaveCount(0)
  await stranger.page.goto('/environments/acme-dev')
  await expect(stranger.page.getByRole('alert')).toBeVisible()
  await expect(stranger.page.getByRole('heading', { name: 'Applications' })).toHaveCount(0)
  await examine(stranger.page)
  await stranger.context.close()
})

test('a Blueprint becomes an Application, by keyboard alone', async () => {
  const { page } = alice
  const beside = await bob.tab('/environments/acme-dev')
  await expect(beside.page.getByText('No Application yet.')).toBeVisible()

  await page.goto('/environments/acme-dev')
  await expect(page.getByText('No Application yet.')).toBeVisible()
  await examine(page)
  await tabTo(page, 'Install Application')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name: 'Marketplace' })).toBeFocused()
  await expect(page.getByRole('img', { name: /Guestbook/ }).or(page.locator('.card img')).first()).toBeVisible()
  await examine(page)
  await tabTo(page, 'Guestbook')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name: 'Guestbook' })).toBeFocused()
  await expect(page.getByRole('link', { name: 'bp-postgres' })).toBeVisible()
  await examine(page)
  await tabTo(page, 'Install')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name: 'Install Guestbook' })).toBeFocused()
  await expect(page.getByLabel('Title')).toHaveValue('Guestbook')
  await examine(page)

  // What is wrong with the form is said where it is wrong.
  await tabTo(page, 'Copies')
  await page.keyboard.type('11')
  await tabTo(page, 'Show the Plan')
  await page.keyboard.press('Space')
  await expect(page.getByLabel('Copies')).toHaveAttribute('aria-invalid', 'true')
  await examine(page)
  await page.getByLabel('Copies').focus()
  await page.keyboard.press('Control+a')
  await page.keyboard.press('Delete')
  await tabTo(page, 'Title')
  await page.keyboard.press('Control+a')
  await page.keyboard.type('Visitors')
  await tabTo(page, 'Show the Plan')
  await page.keyboard.press('Space')

  const plan = await alice.console.plan()
  await expect(page.getByRole('heading', { name: 'Plan for acme-dev' })).toBeFocused()
  expect((await plan.applications()).sort()).toEqual(['guestbook', 'guestbook-db'])
  const objects = await plan.objects()
  for (const kind of ['Namespace', 'OCIRepository', 'HelmRelease', 'NetworkPolicy', 'HTTPRoute', 'ExternalSecret', 'Deployment', 'StatefulSet', 'Service']) {
    expect(objects).toContainEqual(expect.stringMatching(new RegExp(`^${kind} `)))
  }
  await examine(page)
  // Nothing is written before it is confirmed.
  await expect(beside.page.getByText('No Application yet.')).toBeVisible()

  await tabTo(page, 'Install')
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(new RegExp(`${GUESTBOOK}$`))
  expect(await alice.console.watchUntilRunning()).toEqual(['Installing', 'Running'])
  await expect(page.getByRole('row', { name: /^Deployment/ })).toContainText('Ready')
  await examine(page)

  // Somebody else saw it come without asking again.
  const row = beside.page.getByRole('row', { name: /^guestbook Running/ })
  await expect(row).toBeVisible({ timeout: SECONDS })
  await beside.page.close()
})

test('Open shows the guestbook, and an entry stays', async () => {
  await alice.page.goto(GUESTBOOK)
  await alice.console.live()
  await expect(alice.page.getByRole('heading', { name: 'Objects' })).toBeVisible()
  if (process.env.SCREENSHOT) await alice.page.screenshot({ path: process.env.SCREENSHOT })
  const asked = alice.context.waitForEvent('request', (request) => new URL(request.url()).hostname.startsWith('guestbook.'))
  guestbook = await alice.console.open()
  // The Application shares the site with the console, not its cookies.
  expect((await (await asked).allHeaders()).cookie ?? '').not.toContain('catalyst')
  await expect(guestbook).toHaveURL(/^https?:\/\/guestbook\.acme-dev\./)
  await expect(guestbook.getByRole('heading', { name: 'Visitors' })).toBeVisible()
  await guestbook.getByLabel('Name').fill('Ada')
  await guestbook.getByLabel('Message').fill(ENTRY)
  await guestbook.getByRole('button', { name: 'Sign' }).click()
  await expect(guestbook.getByText(ENTRY)).toBeVisible()
  await guestbook.reload()
  await expect(guestbook.getByText(ENTRY)).toBeVisible()
})

test('logs follow what the Application says', async () => {
  await alice.page.goto(`${GUESTBOOK}/logs`)
  await expect(alice.page.getByRole('region', { name: 'Log of guestbook' })).toContainText('listening on')
  await examine(alice.page)
})

test('a change of the config goes through a Plan', async () => {
  const plan = await alice.console.planChange('acme-dev', 'guestbook', { Title: 'Guests of Acme' })
  expect(await plan.applications()).toEqual(['guestbook'])
  expect(await plan.objects()).toContainEqual(expect.stringMatching(/^HelmRelease .*guestbook/))
  await examine(alice.page)
  await plan.confirm('Confirm the change')
  await expect(alice.page).toHaveURL(new RegExp(`${GUESTBOOK}$`))
  await shows(guestbook, 'Guests of Acme')
  await expect(guestbook.getByText(ENTRY)).toBeVisible()
  await alice.console.phase('Running')
})

test('a push by stock git shows at once, with who changed what', async () => {
  const { page } = alice
  await page.goto(`${GUESTBOOK}/history`)
  await expect(page.getByRole('row', { name: /^Change guestbook/ })).toContainText('Runs now')
  await bob.page.goto('/environments/acme-dev')
  const command = await bob.page.getByRole('group', { name: 'Clone command' }).textContent()
  const url = command?.replace('git clone ', '') ?? ''
  clone = new Clone(url, 'bob', await deviceToken(bob.page, origin, examine))
  clone.push('applications/guestbook/application.yaml', 'Guests of Acme', 'Friends of Acme', 'Call them what they are')

  // Without a reload, in a tab that was open before.
  const row = page.getByRole('row', { name: /^Call them what they are/ })
  await expect(row).toBeVisible({ timeout: SECONDS })
  await expect(row).toContainText('bob')
  await expect(row).toContainText('git push')
  await expect(row).toContainText('Runs now', { timeout: ROLLOUT })
  await examine(page)
  await shows(guestbook, 'Friends of Acme')

  await page.getByRole('link', { name: 'Call them what they are' }).click()
  const diff = page.getByRole('region', { name: 'What the commit changed' }).or(page.locator('.diff')).first()
  await expect(diff).toContainText('Guests of Acme')
  await expect(diff).toContainText('Friends of Acme')
  await examine(page)
})

test('eight tabs are live at once', async () => {
  const paths = [GUESTBOOK, GUESTBOOK, `${GUESTBOOK}/config`, `${GUESTBOOK}/history`, `${GUESTBOOK}/logs`, `${GUESTBOOK}/logs`, GUESTBOOK, `${GUESTBOOK}/promote`]
  const tabs = []
  for (const path of paths) tabs.push(await bob.tab(path))
  for (const tab of tabs) {
    await tab.live()
    await tab.phase('Running')
  }
  await alice.page.goto(`${GUESTBOOK}/config`)
  await alice.page.getByRole('button', { name: 'Pause', exact: true }).click()
  await (await alice.console.plan()).confirm('Confirm the change')
  for (const tab of tabs) await tab.phase('Paused', SECONDS)
  await alice.console.phase('Paused', SECONDS)
  await alice.page.getByRole('link', { name: 'Config' }).click()
  await alice.page.getByRole('button', { name: 'Resume' }).click()
  await (await alice.console.plan()).confirm('Confirm the change')
  for (const tab of tabs) await tab.phase('Running', ROLLOUT)
  for (const tab of tabs) await tab.page.close()
})

test('a promotion waits for somebody else’s approval', async () => {
  await admin.console.createPolicy('acme-prod-approval', 'acme-prod', 1)
  await examine(admin.page)
  await alice.page.goto(`${GUESTBOOK}/promote`)
  await expect(alice.page.getByText('policies: acme-prod-approval')).toBeVisible()
  await examine(alice.page)
  const number = await alice.console.promote('acme-dev', 'guestbook', 'acme-prod')
  const { page } = alice
  await expect(page.getByTestId('blockers')).toBeVisible()
  await expect(page.getByText('You opened it, so somebody else approves.')).toBeVisible()
  await expect(page.getByRole('button', { name: /^(Approve|Merge)$/ })).toHaveCount(0)
  await expect(page.locator('.diff')).toContainText('Friends of Acme')
  await examine(page)

  // Asked for again it is the one that is open.
  expect(await alice.console.promote('acme-dev', 'guestbook', 'acme-prod')).toBe(number)

  // Another, from a branch that bob pushed, is closed by her, and the first stays.
  await bob.page.goto('/environments/acme-prod')
  const command = await bob.page.getByRole('group', { name: 'Clone command' }).textContent()
  const prod = new Clone(command?.replace('git clone ', '') ?? '', 'bob', await deviceToken(bob.page, origin, examine))
  prod.push('README.md', /^/, 'Notes.\n', 'Take notes', 'bob/notes')
  prod.remove()
  const second = await bob.console.propose('acme-prod', 'bob/notes', 'Take notes')
  await expect(bob.page.locator('.diff')).toContainText('Notes.')
  await examine(bob.page)
  await alice.console.closePull('acme-prod', second)
  await examine(page)
  await page.goto(`/environments/acme-prod/pull-requests/${number}`)
  await expect(page.getByTestId('blockers')).toBeVisible()

  await bob.page.goto('/environments/acme-prod/pull-requests')
  await expect(bob.page.getByRole('row', { name: new RegExp(`^#${second} `) })).toContainText('Closed')
  await examine(bob.page)
  await bob.page.getByRole('link', { name: new RegExp(`^#${number} .*guestbook`) }).click()
  await expect(bob.page).toHaveURL(new RegExp(`/pull-requests/${number}$`))
  await examine(bob.page)
  await bob.console.approve('acme-prod', number)

  // The author sees the approval come, and merges.
  await expect(page.getByTestId('approvals')).toContainText('bob', { timeout: SECONDS })
  await page.getByRole('button', { name: 'Merge' }).click()
  await expect(page.locator('.title .phase', { hasText: 'Merged' })).toBeVisible()
  await alice.console.openApplication('acme-prod', 'guestbook')
  await alice.console.phase('Running')
  const promoted = await alice.console.open()
  await shows(promoted, 'Friends of Acme')
  // Its own database: what was written in acme-dev is not here.
  await expect(promoted.getByText(ENTRY)).toHaveCount(0)
  await promoted.close()
})

test('a rollback is one more commit', async () => {
  const before = await alice.console.history('acme-dev', 'guestbook')
  const plan = await alice.console.planRollback('acme-dev', 'guestbook', /^Install guestbook/)
  await examine(alice.page)
  await plan.confirm('Roll back')
  await expect(alice.page).toHaveURL(new RegExp(`${GUESTBOOK}$`))
  await shows(guestbook, 'Visitors')
  await expect(guestbook.getByText(ENTRY)).toBeVisible()
  await alice.console.phase('Running')
  const after = await alice.console.history('acme-dev', 'guestbook')
  expect(after.slice(1)).toEqual(before)
})

test('a role and its end show in the other’s open tabs', async () => {
  await bob.page.goto('/environments/acme-dev')
  const status = await bob.tab(GUESTBOOK)
  const log = await bob.tab(`${GUESTBOOK}/logs`)
  await expect(bob.page.getByRole('link', { name: 'Install Application' })).toBeVisible()
  await expect(status.page.getByRole('link', { name: 'Delete' })).toBeVisible()
  await expect(log.page.getByText('Following:')).toBeVisible()

  await alice.console.changeRole('acme', 'bob', 'Org viewer')
  await expect(bob.page.getByRole('link', { name: 'Install Application' })).toHaveCount(0, { timeout: SECONDS })
  await expect(status.page.getByRole('link', { name: 'Delete' })).toHaveCount(0, { timeout: SECONDS })
  await expect(bob.page.getByRole('link', { name: 'guestbook', exact: true })).toBeVisible()

  await alice.console.removeMember('acme', 'bob')
  await expect(bob.page.getByRole('link', { name: 'guestbook', exact: true })).toHaveCount(0, { timeout: SECONDS })
  await expect(status.page.getByRole('heading', { name: 'Objects' })).toHaveCount(0, { timeout: SECONDS })
  await expect(log.page.getByRole('region', { name: 'Log of guestbook' })).toHaveCount(0, { timeout: SECONDS })
  await expect.poll(() => clone.isLetIn(), { timeout: SECONDS }).toBe(false)
  const asked = await bob.page.request.get('/api/v1/environments/acme-dev/applications')
  expect([403, 404]).toContain(asked.status())
  await examine(bob.page)
  await bob.page.goto('/organizations')
  await expect(bob.page.getByText('Acme')).toHaveCount(0)
  await examine(bob.page)
})

test('deletions end, and say what they left behind', async () => {
  test.setTimeout(400_000)
  const { page, console } = alice
  // A database that something depends on stays.
  await page.goto('/environments/acme-dev/applications/guestbook-db/delete')
  await expect(page.getByText('guestbook depends on it.')).toBeVisible()
  await page.getByRole('button', { name: 'Show the Plan' }).click()
  await expect(page.getByRole('alert')).toContainText('guestbook')
  await examine(page)

  await console.deleteApplication('acme-dev', 'guestbook', 'keep')
  await examine(page)
  await expect.poll(async () => (await guestbook.reload())?.status(), { timeout: SECONDS }).toBe(404)
  const kept = await console.deleteApplication('acme-dev', 'guestbook-db', 'keep')
  expect(kept.join('\n')).toContain('PersistentVolumeClaim')
  await page.goto('/environments/acme-dev')
  await expect(page.getByText('No Application yet.')).toBeVisible()
  await examine(page)

  await console.deleteEnvironment('acme-dev')
  await examine(page)
  // A policy asks for pull requests there, so it takes the sovereign-admin.
  await admin.console.deleteEnvironment('acme-prod', ['guestbook'])
  await examine(admin.page)
  await admin.console.deleteOrganization('acme')
  await examine(admin.page)
  await admin.page.goto('/organizations')
  await expect(admin.page.getByText('Acme')).toHaveCount(0)
  await expect(admin.page.getByRole('link', { name: 'Globex' })).toBeVisible()
})

/** Reads an Application's own page until its heading is as wanted. */
async function shows(page: Page, heading: string): Promise<void> {
  const title = async () => {
    await page.reload()
    return page.getByRole('heading', { level: 1 }).textContent()
  }
  await expect.poll(title, { timeout: ROLLOUT, intervals: [250] }).toContain(heading)
}
