/**
 * The console's pages as tests speak of them. Works on any Sovereign: hand it a
 * Playwright page whose `baseURL` is the console's address.
 *
 * What must stay true: everything is found the way a person finds it, by role
 * and by name, and every wait is for something that shows on screen.
 */
import { expect, type Locator, type Page } from '@playwright/test'

/** How long what the Sovereign does may take to show (ms). */
const SOON = 15_000
const INSTALL = 180_000
const DELETION = 60_000

/** The issuer's pages: set a password on a one-time link, sign in. */
export class IssuerPages {
  constructor(readonly page: Page) {}

  /** Opens the one-time link and sets the password; the browser is signed in at the issuer afterwards. */
  async setPassword(link: string, password: string): Promise<void> {
    await this.page.goto(link)
    await expect(this.page.getByRole('heading', { name: 'Set your password' })).toBeVisible({ timeout: SOON })
    await this.page.getByLabel('New password').fill(password)
    await this.page.getByLabel('The same password again').fill(password)
    await this.page.getByRole('button', { name: 'Set password' }).click()
    await expect(this.page.getByRole('heading', { name: 'Set your password' })).toHaveCount(0, { timeout: SOON })
  }

  /** Signs in on the issuer's page, if it asks. */
  async signIn(username: string, password: string): Promise<void> {
    await this.page.getByLabel('User name').fill(username)
    await this.page.getByLabel('Password').fill(password)
    await this.page.getByRole('button', { name: 'Sign in' }).click()
  }
}

/** The console, signed in or about to be. */
export class Console {
  readonly issuer: IssuerPages

  constructor(readonly page: Page) {
    this.issuer = new IssuerPages(page)
  }

  heading(name: string | RegExp): Locator {
    return this.page.getByRole('heading', { level: 1, name })
  }

  /** Opens the console and gets through sign-in, wherever that asks. */
  async signIn(username: string, password: string): Promise<void> {
    await this.page.goto('/')
    const signedIn = this.page.getByText(`Signed in as ${username}`)
    const button = this.page.getByRole('link', { name: 'Sign in' })
    const issuer = this.page.getByLabel('User name')
    await expect(signedIn.or(button).first()).toBeAttached({ timeout: SOON })
    if (await button.isVisible()) {
      await button.click()
      await expect(signedIn.or(issuer).first()).toBeAttached({ timeout: SOON })
      if (await issuer.isVisible()) await this.issuer.signIn(username, password)
    }
    await expect(signedIn).toBeAttached({ timeout: SOON })
    await this.live()
  }

  /** Waits until the live stream is there. */
  async live(): Promise<void> {
    await expect(this.page.getByTestId('connection')).toHaveAttribute('data-state', 'live', { timeout: SOON })
  }

  async createOrganization(name: string, displayName?: string): Promise<void> {
    await this.page.goto('/organizations')
    await this.page.getByRole('button', { name: 'Create Organization' }).first().click()
    const dialog = this.page.getByRole('dialog', { name: 'Create Organization' })
    await dialog.getByLabel('Name', { exact: true }).fill(name)
    if (displayName) await dialog.getByLabel('Display name').fill(displayName)
    await dialog.getByRole('button', { name: 'Create' }).click()
    await expect(this.page).toHaveURL(new RegExp(`/organizations/${name}$`))
    // Accepted is not there yet: the page is read again until it is.
    await expect(this.page.getByRole('heading', { level: 2, name: 'Environments' })).toBeVisible({ timeout: SOON })
    await this.phase('Running', SOON)
  }

  /** Creates `{organization}-{envType}` and watches it become Running. */
  async createEnvironment(organization: string, envType: 'poc' | 'dev' | 'uat' | 'stg' | 'prod'): Promise<void> {
    const name = `${organization}-${envType}`
    await this.page.goto(`/organizations/${organization}`)
    await this.page.getByRole('button', { name: 'Create Environment' }).click()
    const dialog = this.page.getByRole('dialog', { name: 'Create Environment' })
    await dialog.getByRole('radio', { name: name }).check()
    await dialog.getByRole('button', { name: 'Create' }).click()
    const row = this.page.getByRole('row', { name: new RegExp(`^${name}\\b`) })
    await expect(row.getByText('Running')).toBeVisible({ timeout: SOON })
  }

  /** Invites a user; answers the one-time link, or undefined for a user with a password. */
  async invite(organization: string, username: string, role: string, environments: string[] = []): Promise<string | undefined> {
    await this.page.goto(`/organizations/${organization}`)
    await this.page.getByRole('button', { name: 'Invite user' }).click()
    const dialog = this.page.getByRole('dialog', { name: `Invite a user into ${organization}` })
    await dialog.getByLabel('User name').fill(username)
    await dialog.getByRole('radio', { name: new RegExp(`^${role}`) }).check()
    for (const environment of environments) await dialog.getByRole('checkbox', { name: environment }).check()
    await dialog.getByRole('button', { name: 'Invite' }).click()
    const shown = this.page.getByRole('dialog', { name: `${username} is invited` })
    await expect(shown).toBeVisible({ timeout: SOON })
    const link = shown.getByRole('group', { name: 'One-time link' })
    const text = (await link.isVisible()) ? ((await link.textContent()) ?? undefined) : undefined
    await shown.getByRole('button', { name: 'Done' }).click()
    await expect(this.page.getByRole('row', { name: new RegExp(`^${username}\\b`) })).toBeVisible({ timeout: SOON })
    return text
  }

  /** Gives a member another role. */
  async changeRole(organization: string, username: string, role: string): Promise<void> {
    await this.page.goto(`/organizations/${organization}`)
    await this.page.getByRole('button', { name: `Change role of ${username}` }).click()
    const dialog = this.page.getByRole('dialog', { name: `Role of ${username}` })
    await dialog.getByRole('radio', { name: new RegExp(`^${role}`) }).check()
    await dialog.getByRole('button', { name: 'Set role' }).click()
    await expect(this.page.getByRole('row', { name: new RegExp(`^${username} ${role}`) })).toBeVisible({ timeout: SOON })
  }

  /** Removes a member of an Organization. */
  async removeMember(organization: string, username: string): Promise<void> {
    await this.page.goto(`/organizations/${organization}`)
    await this.page.getByRole('button', { name: `Remove ${username}` }).click()
    await this.page.getByLabel(`Type “${username}” to confirm`).fill(username)
    await this.page.getByRole('dialog').getByRole('button', { name: 'Remove member' }).click()
    await expect(this.page.getByRole('row', { name: new RegExp(`^${username}\\b`) })).toHaveCount(0, { timeout: SOON })
  }

  /** Deletes an Environment from its page with the Applications that must be named there; answers what was left behind. */
  async deleteEnvironment(name: string, applications: string[] = []): Promise<string[]> {
    await this.page.goto(`/environments/${name}`)
    return this.deleteByName('Environment', name, applications)
  }

  /** Deletes an Organization from its page; answers what was left behind. */
  async deleteOrganization(name: string): Promise<string[]> {
    await this.page.goto(`/organizations/${name}`)
    return this.deleteByName('Organization', name)
  }

  private async deleteByName(kind: string, name: string, applications: string[] = []): Promise<string[]> {
    await this.page.getByRole('button', { name: `Delete ${kind}` }).click()
    const dialog = this.page.getByRole('dialog', { name: `Delete ${kind}` })
    for (const one of applications) await expect(dialog.getByRole('listitem').filter({ hasText: new RegExp(`^${one}$`) })).toBeVisible({ timeout: SOON })
    if (applications.length > 0) await dialog.getByLabel('Delete these Applications and their data').check()
    await dialog.getByLabel(`Type “${name}” to confirm`).fill(name)
    await dialog.getByRole('button', { name: `Delete ${kind}` }).click()
    return this.deleted(`${kind} ${name}`)
  }

  /** Waits until a deletion is over, as the page tells it; answers what was left behind. */
  private async deleted(what: string): Promise<string[]> {
    const deletion = this.page.getByTestId('deletion').filter({ hasText: `${what} is deleted` })
    await expect(deletion).toBeVisible({ timeout: DELETION })
    return deletion.getByRole('listitem').allTextContents()
  }

  /** From the marketplace to the Plan of an install. `config`: field label → value. */
  async planInstall(environment: string, title: string, name: string, config: Record<string, string> = {}): Promise<PlanPage> {
    await this.page.goto(`/environments/${environment}`)
    await this.page.getByRole('link', { name: 'Install Application' }).click()
    await this.page.getByLabel('Search').fill(title)
    await this.page.getByRole('link', { name: title, exact: true }).click()
    await expect(this.heading(title)).toBeVisible({ timeout: SOON })
    await this.page.getByRole('link', { name: 'Install' }).click()
    await expect(this.page.getByLabel('Environment', { exact: true })).toHaveValue(environment, { timeout: SOON })
    await this.page.getByLabel('Application name').fill(name)
    for (const [label, value] of Object.entries(config)) await this.page.getByLabel(label).fill(value)
    await this.page.getByRole('button', { name: 'Show the Plan' }).click()
    return this.plan()
  }

  /** The Plan that is on screen. */
  async plan(): Promise<PlanPage> {
    const plan = new PlanPage(this.page)
    await expect(plan.root).toBeVisible({ timeout: SOON })
    return plan
  }

  async openApplication(environment: string, name: string): Promise<void> {
    await this.page.goto(`/environments/${environment}/applications/${name}`)
    await expect(this.heading(name)).toBeVisible({ timeout: SOON })
  }

  /** Waits, without a reload, until the page's heading has a phase beside it. */
  async phase(phase: string | RegExp, timeout = INSTALL): Promise<void> {
    await expect(this.page.locator('.title .phase')).toHaveAttribute('data-phase', phase, { timeout })
  }

  /**
   * Watches an install until it runs, without a reload. Answers the phases seen,
   * in order, and tells of each when it is seen. The page must be the Application's.
   */
  async watchUntilRunning(onSeen: (phase: string) => Promise<void> = async () => {}): Promise<string[]> {
    await this.page.evaluate(() => Reflect.set(window, 'catalystNotReloaded', true))
    const seen: string[] = []
    await expect
      .poll(
        async () => {
          const now = await this.page.locator('.title .phase').getAttribute('data-phase', { timeout: SOON })
          if (now && seen.at(-1) !== now) {
            seen.push(now)
            await onSeen(now)
          }
          return now
        },
        { timeout: INSTALL, intervals: [50] },
      )
      .toBe('Running')
    expect(await this.page.evaluate(() => Reflect.get(window, 'catalystNotReloaded'))).toBe(true)
    return seen
  }

  /** Follows “Open”; answers the Application's own page in its new tab. */
  async open(): Promise<Page> {
    const [opened] = await Promise.all([
      this.page.context().waitForEvent('page'),
      this.page.getByRole('main').getByRole('link', { name: /^Open/ }).click(),
    ])
    await opened.waitForLoadState('load')
    return opened
  }

  /** Changes config fields by label, up to the Plan. */
  async planChange(environment: string, name: string, config: Record<string, string>): Promise<PlanPage> {
    await this.page.goto(`/environments/${environment}/applications/${name}/config`)
    for (const [label, value] of Object.entries(config)) await this.page.getByLabel(label).fill(value)
    await this.page.getByRole('button', { name: 'Show the Plan' }).click()
    return this.plan()
  }

  /** Opens the history; answers the subjects, newest first. */
  async history(environment: string, name: string): Promise<string[]> {
    await this.page.goto(`/environments/${environment}/applications/${name}/history`)
    const rows = this.page.locator('tbody tr')
    await expect(rows.first()).toBeVisible({ timeout: SOON })
    return rows.getByRole('link').allTextContents()
  }

  /** Rolls back to the commit of a subject, up to the Plan. */
  async planRollback(environment: string, name: string, subject: string | RegExp): Promise<PlanPage> {
    await this.page.goto(`/environments/${environment}/applications/${name}/history`)
    await this.page.getByRole('link', { name: subject }).first().click()
    await this.page.getByRole('button', { name: 'Roll back to this' }).click()
    return this.plan()
  }

  /** Promotes up to the open pull request; answers its number. */
  async promote(environment: string, name: string, to: string): Promise<number> {
    await this.page.goto(`/environments/${environment}/applications/${name}/promote`)
    await this.page.getByRole('radio', { name: new RegExp(`^${to}`) }).check()
    await this.page.getByRole('button', { name: 'Show the Plan' }).click()
    await (await this.plan()).confirm('Open pull request')
    await expect(this.page).toHaveURL(new RegExp(`/environments/${to}/pull-requests/\\d+$`), { timeout: SOON })
    return Number(this.page.url().split('/').pop())
  }

  /** Opens a pull request from a branch that was pushed; its number. */
  async propose(environment: string, branch: string, title: string): Promise<number> {
    await this.page.goto(`/environments/${environment}/pull-requests`)
    await this.page.getByRole('button', { name: 'Open pull request' }).click()
    const dialog = this.page.getByRole('dialog', { name: 'Open a pull request' })
    await expect(dialog.getByLabel('Branch')).toHaveValue(branch, { timeout: SOON })
    await expect(dialog.getByLabel('Title')).toHaveValue(title)
    await dialog.getByRole('button', { name: 'Open', exact: true }).click()
    await expect(this.page).toHaveURL(new RegExp(`/environments/${environment}/pull-requests/\\d+$`), { timeout: SOON })
    return Number(this.page.url().split('/').pop())
  }

  async approve(environment: string, number: number): Promise<void> {
    await this.page.goto(`/environments/${environment}/pull-requests/${number}`)
    await this.page.getByRole('button', { name: 'Approve' }).click()
    await expect(this.page.getByTestId('approvals')).not.toContainText('nobody yet', { timeout: SOON })
  }

  async merge(environment: string, number: number): Promise<void> {
    await this.page.goto(`/environments/${environment}/pull-requests/${number}`)
    await this.page.getByRole('button', { name: 'Merge' }).click()
    await expect(this.page.locator('.title .phase', { hasText: 'Merged' })).toBeVisible({ timeout: SOON })
  }

  /** Closes a pull request that nobody shall merge. */
  async closePull(environment: string, number: number): Promise<void> {
    await this.page.goto(`/environments/${environment}/pull-requests/${number}`)
    await this.page.getByRole('button', { name: 'Close without merging' }).click()
    await expect(this.page.locator('.title .phase', { hasText: 'Closed' })).toBeVisible({ timeout: SOON })
  }

  /** Asks for approvals before changes enter an Environment. */
  async createPolicy(name: string, environment: string, approvals: number): Promise<void> {
    await this.page.goto('/policies')
    await this.page.getByRole('button', { name: 'Create policy' }).click()
    const dialog = this.page.getByRole('dialog')
    await dialog.getByLabel('Name', { exact: true }).fill(name)
    await dialog.getByRole('checkbox', { name: environment }).check()
    await dialog.getByLabel('Approvals needed').fill(String(approvals))
    await dialog.getByRole('button', { name: 'Save' }).click()
    await expect(this.page.getByRole('row', { name: new RegExp(`^${name}\\b`) })).toBeVisible({ timeout: SOON })
  }

  /** Deletes an Application; answers what was left behind. */
  async deleteApplication(environment: string, name: string, data: 'keep' | 'drop'): Promise<string[]> {
    await this.page.goto(`/environments/${environment}/applications/${name}/delete`)
    await this.page.getByRole('radio', { name: data === 'keep' ? /^Keep it/ : /^Drop it/ }).check()
    await this.page.getByRole('button', { name: 'Show the Plan' }).click()
    const plan = await this.plan()
    await this.page.getByLabel(`Type “${name}” to confirm`).fill(name)
    await plan.confirm('Delete')
    return this.deleted(`Application ${environment}/${name}`)
  }
}

/** A Plan on screen. */
export class PlanPage {
  readonly root: Locator

  constructor(readonly page: Page) {
    this.root = page.getByTestId('plan')
  }

  /** Names of the Applications that the Plan is about. */
  applications(): Promise<string[]> {
    return this.root.locator('tbody th[scope=row]').allTextContents()
  }

  /** `Kind namespace/name` of every object. */
  async objects(): Promise<string[]> {
    const lines = this.root.locator('.objects > li')
    const found: string[] = []
    for (let index = 0; index < (await lines.count()); index++) {
      const line = lines.nth(index)
      found.push(`${await line.locator('strong').first().textContent()} ${await line.locator('code').first().textContent()}`)
    }
    return found
  }

  async serveBy(alias: string, application: string): Promise<void> {
    const digest = await this.root.getAttribute('data-digest')
    await this.root.getByRole('group', { name: `Who serves ${alias}` }).getByLabel(`The existing ${application}`).check()
    await expect(this.root).not.toHaveAttribute('data-digest', digest ?? '', { timeout: SOON })
  }

  async confirm(action: string): Promise<void> {
    await this.root.getByRole('button', { name: action }).click()
  }
}
