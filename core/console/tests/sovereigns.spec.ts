import { readFileSync } from 'node:fs'
import type { Page } from '@playwright/test'
import { expect, signInAs, test, violations } from './support'

const TOKEN = 'canary-hetzner-token'
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me'
const PRIVATE = '-----BEGIN OPENSSH PRIVATE KEY-----\ncanary-key\n-----END OPENSSH PRIVATE KEY-----'

const next = (page: Page) => page.getByRole('button', { name: 'Next' }).click()
const step = (page: Page, title: string) => page.getByRole('heading', { level: 2, name: title, exact: true })
const phase = (page: Page, name: string) => page.locator(`main [data-phase="${name}"]`)

/** Fills all steps up to the review. */
async function describe(page: Page, fqdn: string) {
  await page.goto('/sovereigns')
  await page.getByRole('link', { name: 'Provision a Sovereign' }).click()
  await page.getByLabel('Domain', { exact: true }).fill(fqdn)
  await page.getByLabel('Mail address for the certificate authority').fill(`ops@${fqdn}`)
  await page.getByLabel('Git repository').fill('https://git.example/sovereigns')
  await next(page)
  await expect(step(page, 'Region and sizes')).toBeFocused()
  await page.getByLabel('Region').selectOption('nbg')
  await page.getByLabel('Control planes', { exact: true }).selectOption('1')
  await next(page)
  await page.getByLabel('SSH public key').fill(KEY)
  await page.getByLabel('Networks of administrators').fill('203.0.113.7/32')
  await next(page)
  await page.getByLabel('API token of the Hetzner project').fill(TOKEN)
  await page.getByLabel('SSH private key').fill(PRIVATE)
  await next(page)
  await expect(step(page, 'Review')).toBeFocused()
}

test('a Sovereign is described, planned, provisioned and destroyed', async ({ signedIn: page, fixture }) => {
  const sent: unknown[] = []
  page.on('request', (request) => {
    if (request.method() !== 'GET' && request.url().includes('/sovereigns') && !request.url().endsWith('/render')) sent.push(request.postDataJSON())
  })
  await describe(page, 'acme.example')
  await expect(page.locator('main')).toContainText('Nuremberg (nbg)')
  await expect(page.locator('main')).not.toContainText('canary')
  expect(await violations(page), 'review').toEqual([])
  await page.getByRole('button', { name: 'Show the plan' }).click()

  await expect(page.getByRole('heading', { level: 1, name: 'acme.example' })).toBeVisible()
  await expect(page.getByRole('heading', { name: 'Plan: 2 changes' })).toBeVisible()
  await expect(page.getByText('hcloud_network.sovereign')).toBeVisible()
  expect(sent).toEqual([{
    config: {
      sovereignFqdn: 'acme.example', acmeEmail: 'ops@acme.example', gitUrl: 'https://git.example/sovereigns',
      region: 'nbg', controlPlaneCount: 1, sshPublicKey: KEY, adminCidrs: ['203.0.113.7/32'],
    },
    credentials: { hetznerToken: TOKEN, sshPrivateKey: PRIVATE },
    planOnly: true,
  }])
  // Neither is it in the address, nor can one go back to a form that holds it.
  expect(page.url()).not.toContain('canary')
  await expect(page.locator('main')).not.toContainText('canary')

  await fixture.control('pace', { held: true })
  await page.getByRole('button', { name: 'Carry out the plan' }).click()
  await expect(phase(page, 'Provisioning')).toBeVisible()
  await fixture.control('pace', { held: false })
  await expect(page.getByRole('region', { name: 'Events of acme.example' })).toContainText('1/2 resources')
  await expect(phase(page, 'Provisioned')).toBeVisible()
  await expect(page.getByRole('link', { name: 'https://console.acme.example' })).toBeVisible()
  await expect(page.getByRole('row', { name: /\*\.acme\.example/ })).toContainText('192.0.2.8')
  await expect(page.getByText('2 of 2 resources')).toBeVisible()
  await expect(page.getByRole('row', { name: /initialise OpenTofu/ })).toContainText('tofu 1.12.6')
  expect(await violations(page), 'provisioned').toEqual([])

  await page.getByRole('button', { name: 'Archive' }).click()
  await expect(phase(page, 'Archived')).toBeVisible()
  await expect(page.getByText('Change it in its Git repository.')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Destroy' })).toHaveCount(0)
  await page.getByRole('button', { name: 'Restore' }).click()
  await expect(page.getByRole('region', { name: 'Events of acme.example' })).toContainText('the state is there again')
  await expect(phase(page, 'Provisioned')).toBeVisible()

  await page.getByRole('button', { name: 'Destroy' }).click()
  const dialog = page.getByRole('dialog', { name: 'Destroy acme.example' })
  await dialog.getByLabel(/to confirm/).fill('acme')
  await dialog.getByRole('button', { name: 'Destroy' }).click()
  await expect(dialog.getByLabel(/to confirm/)).toHaveAttribute('aria-invalid', 'true')
  await dialog.getByLabel(/to confirm/).fill('acme.example')
  await dialog.getByRole('button', { name: 'Destroy' }).click()
  await expect(phase(page, 'Destroyed')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Destroy' })).toHaveCount(0)
  await expect(page.getByRole('link', { name: 'Provision anew' })).toBeVisible()
  await page.getByRole('button', { name: 'Forget' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Sovereigns' })).toBeVisible()
  await expect(page.getByRole('link', { name: 'acme.example' })).toHaveCount(0)
})

test('a step is not left while something in it is wrong, and nothing is sent', async ({ signedIn: page }) => {
  const asked: string[] = []
  page.on('request', (request) => { if (request.method() === 'POST') asked.push(request.url()) })
  await page.goto('/sovereigns/new')
  await page.getByLabel('Domain', { exact: true }).fill('Acme')
  await page.getByLabel('Mail address for the certificate authority').fill('nobody')
  await next(page)
  await expect(step(page, 'Name and domain')).toBeVisible()
  await expect(page.getByLabel('Domain', { exact: true })).toBeFocused()
  await expect(page.getByLabel('Domain', { exact: true })).toHaveAccessibleDescription(/a domain in lower case/)
  await expect(page.getByLabel('Mail address for the certificate authority')).toHaveAccessibleDescription(/name@host/)
  await expect(page.getByLabel('Git repository')).toHaveAccessibleDescription(/needed/)
  expect(await violations(page), 'faults').toEqual([])
  // It goes as it is mended.
  await page.getByLabel('Domain', { exact: true }).fill('acme.example')
  await expect(page.getByLabel('Domain', { exact: true })).not.toHaveAttribute('aria-invalid')
  await page.getByLabel('DNS records').selectOption({ label: 'They are written into a zone at Hetzner DNS' })
  await expect(page.getByLabel('Zone at Hetzner DNS')).toBeVisible()
  expect(asked).toEqual([])
})

test('the review has what must lie in the repository, once the Sovereign takes the description', async ({ signedIn: page }) => {
  const judged: Record<string, unknown>[] = []
  page.on('request', (request) => { if (request.url().endsWith('/render')) judged.push(request.postDataJSON()) })
  await page.goto('/sovereigns/new')
  await expect(page.locator('main')).toContainText('An SSH key pair')
  await expect(page.locator('main')).toContainText('comes without Catalyst itself')
  await describe(page, 'acme.example')
  await expect(page.locator('main')).toContainText('It is without catalyst')
  expect(await violations(page), 'review').toEqual([])
  const download = page.waitForEvent('download')
  await page.getByRole('button', { name: 'Download clusters/acme.example/ as a tar' }).click()
  const file = await download
  expect(file.suggestedFilename()).toBe('clusters-acme.example.tar')
  expect(readFileSync(await file.path(), 'utf8')).toContain('sovereign_fqdn: acme.example')
  // It knows rules that no schema says.
  for (let back = 0; back < 2; back++) await page.getByRole('button', { name: 'Back' }).click()
  await page.getByLabel('Networks of administrators').fill('1:2/64')
  for (let forth = 0; forth < 2; forth++) await next(page)
  await expect(step(page, 'Access')).toBeVisible()
  await expect(page.getByLabel('Networks of administrators')).toHaveAccessibleDescription(/is not a network/)
  await page.getByLabel('Networks of administrators').fill('203.0.113.7/32')
  for (let forth = 0; forth < 2; forth++) await next(page)
  await expect(step(page, 'Review')).toBeFocused()
  // Credentials are no part of what is judged so.
  expect(judged).toHaveLength(3)
  expect(JSON.stringify(judged)).not.toContain('canary')
})

test('what the Sovereign refuses stands beside its field', async ({ signedIn: page }) => {
  await describe(page, 'acme.example')
  for (let back = 0; back < 3; back++) await page.getByRole('button', { name: 'Back' }).click()
  await page.getByLabel('Server type of the workers').fill('cx99')
  for (let forth = 0; forth < 3; forth++) await next(page)
  await page.getByRole('button', { name: 'Show the plan' }).click()
  await expect(page.getByLabel('Server type of the workers')).toHaveAccessibleDescription(/cx99 is not offered/)
  await expect(page.getByRole('alert')).toContainText('nothing was begun')
})

test('a job that failed says why, and goes on with another token', async ({ signedIn: page }) => {
  await describe(page, 'failing.example')
  await page.getByRole('button', { name: 'Show the plan' }).click()
  await expect(page.getByRole('alert')).toContainText('it may only read')
  await expect(page.getByRole('alert')).toContainText('Put right what is told')
  expect(await violations(page), 'failed').toEqual([])
  await page.getByRole('link', { name: 'Change' }).click()
  await expect(page.getByLabel('Domain', { exact: true })).toHaveValue('failing.example')
  for (let forth = 0; forth < 3; forth++) await next(page)
  await expect(page.getByLabel('API token of the Hetzner project')).toHaveValue('')
  await page.getByLabel('API token of the Hetzner project').fill('better')
  await next(page)
  await expect(page.locator('main')).toContainText('as given before')
  await page.getByRole('button', { name: 'Show the plan' }).click()
  await expect(page.getByRole('heading', { name: 'Plan: 2 changes' })).toBeVisible()
  await page.goto('/sovereigns')
  await expect(page.getByRole('row', { name: /failing\.example/ })).toContainText('Planned')
})

test('a plan that was cancelled is planned again, and creates nothing before it was shown', async ({ signedIn: page, fixture }) => {
  const sent: unknown[] = []
  page.on('request', (request) => { if (request.url().endsWith('/resume')) sent.push(request.postDataJSON()) })
  await describe(page, 'acme.example')
  await fixture.control('pace', { held: true })
  await page.getByRole('button', { name: 'Show the plan' }).click()
  await expect(phase(page, 'Planning')).toBeVisible()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await expect(phase(page, 'Cancelling')).toBeVisible()
  await fixture.control('pace', { held: false })
  await expect(phase(page, 'Cancelled')).toBeVisible()
  await page.getByRole('button', { name: 'Resume planning' }).click()
  await expect(page.getByRole('heading', { name: 'Plan: 2 changes' })).toBeVisible()
  await page.getByRole('button', { name: 'Carry out the plan' }).click()
  await expect(phase(page, 'Provisioned')).toBeVisible()
  expect(sent).toEqual([{}, { create: true, plan: 'd1' }])
})

test('a plan that takes away what a Sovereign stands on is carried out once its name was typed', async ({ signedIn: page }) => {
  const sent: unknown[] = []
  page.on('request', (request) => { if (request.url().endsWith('/resume')) sent.push(request.postDataJSON()) })
  await describe(page, 'shrinking.example')
  await page.getByRole('button', { name: 'Show the plan' }).click()
  await expect(page.getByRole('heading', { name: 'Plan: one change' })).toBeVisible()
  await expect(page.locator('main')).toContainText('only where that is meant')
  await expect(page.locator('main')).not.toContainText('`')
  await page.getByRole('button', { name: 'Carry out the plan' }).click()
  const dialog = page.getByRole('dialog', { name: 'Carry out the plan of shrinking.example' })
  await expect(dialog).toContainText('delete hcloud_server.control_plane[1]')
  expect(await violations(page), 'losing').toEqual([])
  await dialog.getByRole('button', { name: 'Carry out' }).click()
  expect(sent).toEqual([])
  await dialog.getByLabel(/to confirm/).fill('shrinking.example')
  await dialog.getByRole('button', { name: 'Carry out' }).click()
  await expect(phase(page, 'Provisioned')).toBeVisible()
  expect(sent).toEqual([{ create: true, plan: 'd1', allowDestroy: 'shrinking.example' }])
})

test('a destroy that failed is given another token', async ({ signedIn: page }) => {
  await describe(page, 'failing.example')
  await page.getByRole('button', { name: 'Show the plan' }).click()
  await expect(phase(page, 'Failed')).toBeVisible()
  const dialog = page.getByRole('dialog', { name: 'Destroy failing.example' })
  const token = dialog.getByLabel('Another API token of the Hetzner project')
  const destroy = async () => {
    await dialog.getByLabel(/to confirm/).fill('failing.example')
    await dialog.getByRole('button', { name: 'Destroy' }).click()
    await expect(dialog).toHaveCount(0)
  }
  await page.getByRole('button', { name: 'Destroy' }).click()
  await expect(token).toBeVisible()
  expect(await violations(page), 'destroy').toEqual([])
  await destroy()
  await expect(page.getByRole('alert')).toContainText('Hetzner does not know it')
  await page.getByRole('button', { name: 'Destroy' }).click()
  await expect(token).toHaveValue('')
  await token.fill('better')
  await destroy()
  await expect(phase(page, 'Destroyed')).toBeVisible()
})

test('where nothing of what was made is left, that somebody removed it is said once', async ({ signedIn: page, fixture }) => {
  await describe(page, 'removed.example')
  await page.getByRole('button', { name: 'Show the plan' }).click()
  await expect(page.getByRole('alert')).toContainText('has nothing of what was made for it')
  const removed = page.getByLabel('All that was made was removed by hand')
  await expect(removed).toHaveAccessibleDescription(/made anew there/)
  expect(await violations(page), 'resume').toEqual([])
  // Not said, it is refused as before.
  await fixture.control('pace', { held: true })
  await page.getByRole('button', { name: 'Resume planning' }).click()
  await expect(phase(page, 'Planning')).toBeVisible()
  await fixture.control('pace', { held: false })
  await expect(phase(page, 'Failed')).toBeVisible()
  await removed.focus()
  await page.keyboard.press('Space')
  await page.getByRole('button', { name: 'Resume planning' }).click()
  await expect(phase(page, 'Planned')).toBeVisible()
  await page.getByRole('button', { name: 'Carry out the plan' }).click()
  await expect(phase(page, 'Failed')).toBeVisible()
  await removed.check()
  await page.getByRole('button', { name: 'Resume' }).click()
  await expect(phase(page, 'Provisioned')).toBeVisible()
  await expect(removed).toHaveCount(0)

  const dialog = page.getByRole('dialog', { name: 'Destroy removed.example' })
  const destroy = async () => {
    await dialog.getByLabel(/to confirm/).fill('removed.example')
    await dialog.getByRole('button', { name: 'Destroy' }).click()
    await expect(dialog).toHaveCount(0)
  }
  await page.getByRole('button', { name: 'Destroy' }).click()
  await expect(removed).toHaveCount(0)
  await destroy()
  await expect(page.getByRole('alert')).toContainText('has nothing of what was made for it')
  await page.getByRole('button', { name: 'Destroy' }).click()
  await expect(dialog.getByLabel('All that was made was removed by hand')).not.toBeChecked()
  expect(await violations(page), 'destroy').toEqual([])
  await dialog.getByLabel('All that was made was removed by hand').check()
  await destroy()
  await expect(phase(page, 'Destroyed')).toBeVisible()
})

test('where nothing of what was made is left, a change says what is missed, and that somebody removed it', async ({ signedIn: page }) => {
  const sent: Record<string, unknown>[] = []
  page.on('request', (request) => { if (request.url().endsWith('/plan')) sent.push(request.postDataJSON()) })
  await describe(page, 'removed.example')
  await page.getByRole('button', { name: 'Show the plan' }).click()
  await expect(phase(page, 'Failed')).toBeVisible()
  const change = async (isRemoved: boolean) => {
    await page.getByRole('link', { name: 'Change' }).click()
    for (let forth = 0; forth < 3; forth++) await next(page)
    await expect(page.getByTestId('missing')).toContainText('no network 1')
    const removed = page.getByLabel('All that was made was removed by hand')
    await expect(removed).toHaveAccessibleDescription(/made anew there/)
    await expect(removed).not.toBeChecked()
    expect(await violations(page), 'change').toEqual([])
    if (isRemoved) await removed.check()
    await next(page)
    await expect(page.locator('main')).toContainText(`All was removed by hand${isRemoved ? 'yes' : 'no'}`)
    await page.getByRole('button', { name: 'Show the plan' }).click()
    await expect(phase(page, isRemoved ? 'Planned' : 'Failed')).toBeVisible()
  }
  await change(false)
  await change(true)
  expect(sent.map((body) => body.removedByHand)).toEqual([undefined, true])
  // What was found is no longer missed.
  await page.getByRole('link', { name: 'Change' }).click()
  for (let forth = 0; forth < 3; forth++) await next(page)
  await expect(page.getByLabel('API token of the Hetzner project')).toBeVisible()
  await expect(page.getByTestId('missing')).toHaveCount(0)
})

test('events go on where they were after the connection was cut', async ({ signedIn: page, fixture }) => {
  await fixture.control('pace', { held: true })
  await page.goto('/sovereigns/omantel.example')
  const log = page.getByRole('region', { name: 'Events of omantel.example' })
  await expect(log).toContainText('Ended: provisioned.')
  await fixture.control('cut-streams')
  await page.getByRole('button', { name: 'Destroy' }).click()
  await page.getByRole('dialog').getByLabel(/to confirm/).fill('omantel.example')
  await page.getByRole('dialog').getByRole('button', { name: 'Destroy' }).click()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await expect(phase(page, 'Cancelling')).toBeVisible()
  await fixture.control('pace', { held: false })
  await expect(log).toContainText('Ended: cancelled.', { timeout: 10_000 })
  expect((await log.innerText()).match(/Ended: provisioned/g)).toHaveLength(1)
  await expect(phase(page, 'Cancelled')).toBeVisible()
})

test('whoever does not administer the Sovereign is not shown the way, and refused', async ({ page, fixture }) => {
  await signInAs(page, fixture, 'bob')
  await page.goto('/organizations')
  await expect(page.getByRole('link', { name: 'Organizations' })).toBeVisible()
  await expect(page.getByRole('link', { name: 'Sovereigns' })).toHaveCount(0)
  for (const path of ['/sovereigns', '/sovereigns/new', '/sovereigns/omantel.example']) {
    await page.goto(path)
    await expect(page.getByRole('alert')).toContainText('by sovereign-admins only')
  }
})
