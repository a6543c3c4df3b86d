/** The people of the story, each in a browser of their own. */
import { expect, type Browser, type BrowserContext, type Page } from '@playwright/test'
import { violations } from '../axe'
import { Console } from './console'

export class Person {
  readonly console: Console
  /** What the browser complained of; refused requests are not complaints. */
  readonly complaints: string[] = []

  private constructor(
    readonly name: string,
    readonly password: string,
    readonly context: BrowserContext,
    readonly page: Page,
  ) {
    this.console = new Console(page)
    context.on('weberror', (error) => this.complaints.push(error.error().message))
    context.on('console', (message) => {
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) this.complaints.push(message.text())
    })
  }

  static async arrives(browser: Browser, name: string): Promise<Person> {
    const context = await browser.newContext({
      baseURL: process.env.BASE_URL,
      colorScheme: 'light',
      reducedMotion: 'reduce',
      ignoreHTTPSErrors: true,
      viewport: { width: 1180, height: 800 },
    })
    context.setDefaultTimeout(15_000)
    return new Person(name, `four words do well, ${name}`, context, await context.newPage())
  }

  /** Sets a password on the one-time link, and signs in. */
  async joins(link: string | undefined): Promise<this> {
    expect(link).toMatch(/^https?:/)
    await this.console.issuer.setPassword(link ?? '', this.password)
    await this.console.signIn(this.name, this.password)
    return this
  }

  /** Another tab, at a path of the console. */
  async tab(path: string): Promise<Console> {
    const console = new Console(await this.context.newPage())
    await console.page.goto(path)
    return console
  }
}

/** Nothing on the page keeps anybody out, as far as axe can tell. */
export async function examine(page: Page): Promise<void> {
  await expect(page.getByText('Loading…')).toHaveCount(0)
  expect(await violations(page), page.url()).toEqual([])
}
