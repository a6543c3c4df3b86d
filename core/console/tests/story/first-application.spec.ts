/**
 * The story's console part against a running Sovereign that is still empty:
 *
 *     BASE_URL=http://localhost:8080 SIGN_IN_LINK=… npx playwright test --project=story
 *
 * SIGN_IN_LINK is the one-time link that `catalyst up` prints. SCREENSHOT=path
 * keeps a picture of the running Application's page.
 */
import { expect, test } from '@playwright/test'
import { Console } from './console'

const link = process.env.SIGN_IN_LINK
const admin = process.env.ADMIN ?? 'admin'
const password = process.env.PASSWORD ?? 'four words do well'

test.skip(!process.env.BASE_URL || !link, 'BASE_URL and SIGN_IN_LINK name no Sovereign')
test.use({ baseURL: process.env.BASE_URL, colorScheme: 'light' })

test('from the one-time link to an Application that is open', async ({ page, browser }) => {
  const console = new Console(page)
  await console.issuer.setPassword(link ?? '', password)
  await console.signIn(admin, password)

  await console.createOrganization('acme', 'Acme')
  await console.createEnvironment('acme', 'dev')
  await console.createEnvironment('acme', 'prod')

  const invitation = await console.invite('acme', 'bob', 'Org developer')
  expect(invitation).toMatch(/^https?:/)
  const theirs = await browser.newContext({ baseURL: process.env.BASE_URL, ignoreHTTPSErrors: true })
  const bob = new Console(await theirs.newPage())
  await bob.issuer.setPassword(invitation ?? '', `${password} too`)
  await bob.signIn('bob', `${password} too`)

  const plan = await console.planInstall('acme-dev', 'Guestbook', 'guestbook')
  expect(await plan.applications()).toContain('guestbook')
  expect((await plan.applications()).length).toBe(2)
  expect(await plan.objects()).toContainEqual(expect.stringMatching(/^HelmRelease .*guestbook/))
  await plan.confirm('Install')
  await expect(page).toHaveURL(/\/environments\/acme-dev\/applications\/guestbook$/)
  const phases = await console.watchUntilRunning()
  expect(phases).toEqual(['Installing', 'Running'])

  // Somebody else sees it without asking again.
  await bob.openApplication('acme-dev', 'guestbook')
  await bob.phase('Running')
  await theirs.close()

  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT })
  const opened = await console.open()
  await expect(opened.locator('body')).toContainText(/guestbook/i)
})
