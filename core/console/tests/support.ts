/** What all browser tests share: a fixture server of their own, signed in. */
import { expect, test as base, type Page } from '@playwright/test'
import { startFixture } from './fixture-server.mjs'

export { expect }
export { violations } from './axe'

export type Fixture = {
  url: string
  /** Asks the fixture server for something that the API has no words for. */
  control: (what: string, body?: unknown) => Promise<{ open?: number }>
}

export const test = base.extend<{ fixture: Fixture; signedIn: Page }>({
  fixture: async ({}, use) => {
    const server = await startFixture()
    await use({
      url: server.url,
      control: async (what, body = {}) => {
        const answer = await fetch(`${server.url}/fixture/${what}`, { method: 'POST', body: JSON.stringify(body) })
        return (await answer.json()) as { open?: number }
      },
    })
    await server.close()
  },
  baseURL: async ({ fixture }, use) => use(fixture.url),
  page: async ({ page }, use) => {
    // A page that complains is a page that is broken; refused requests are not complaints.
    const complaints: string[] = []
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(message.text())
    })
    await use(page)
    expect(complaints, 'the browser console stays clean').toEqual([])
  },
  signedIn: async ({ page, fixture }, use) => {
    await signInAs(page, fixture, 'admin')
    await use(page)
  },
})

export async function signInAs(page: Page, fixture: Fixture, username: string): Promise<void> {
  await page.context().addCookies([{ name: 'catalyst_session', value: username, url: fixture.url, httpOnly: true, sameSite: 'Lax' }])
}
