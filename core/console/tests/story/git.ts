/** Stock git, and the token that it signs in with: got by the device flow, as `catalyst login` gets one. */
import { execFileSync, type ExecFileSyncOptionsWithStringEncoding } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, type Page } from '@playwright/test'

/** A token for a user who is signed in at the issuer in this page's browser; the user agrees on the issuer's page. */
export async function deviceToken(page: Page, origin: string, examine: (page: Page) => Promise<void>): Promise<string> {
  const discovery = await answer(await fetch(`${origin}/oidc/.well-known/openid-configuration`))
  const client = { client_id: 'catalyst-cli', scope: 'openid profile groups' }
  const device = await answer(await post(discovery.device_authorization_endpoint, client))
  await page.goto(String(device.verification_uri_complete))
  await expect(page.getByLabel('Code')).toHaveValue(String(device.user_code))
  await examine(page)
  await page.getByRole('button', { name: 'Continue' }).click()
  await expect(page.getByText(String(device.user_code))).toBeVisible()
  await examine(page)
  await page.getByRole('button', { name: 'Agree' }).click()
  await expect(page.getByRole('button', { name: 'Agree' })).toHaveCount(0)
  const token = await answer(
    await post(discovery.token_endpoint, {
      client_id: client.client_id,
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      device_code: String(device.device_code),
    }),
  )
  return String(token.access_token)
}

function post(url: unknown, form: Record<string, string>): Promise<Response> {
  return fetch(String(url), { method: 'POST', body: new URLSearchParams(form) })
}

async function answer(response: Response): Promise<Record<string, unknown>> {
  expect(response.ok, `${response.url} answers ${response.status}`).toBe(true)
  return (await response.json()) as Record<string, unknown>
}

/** A clone in a folder of its own. */
export class Clone {
  private readonly folder = mkdtempSync(join(tmpdir(), 'catalyst-story-'))

  constructor(url: string, user: string, token: string) {
    const signedIn = new URL(url)
    signedIn.username = user
    signedIn.password = token
    this.git('clone', '--quiet', signedIn.href, '.')
    this.git('config', 'user.name', user)
    this.git('config', 'user.email', `${user}@acme.example`)
  }

  /** Replaces a text in a file, commits and pushes, to `main` unless a branch is named. */
  push(file: string, from: string | RegExp, to: string, subject: string, branch = 'main'): void {
    const path = join(this.folder, file)
    const text = readFileSync(path, 'utf8')
    const changed = text.replace(from, to)
    expect(changed, `${String(from)} is in\n${text}`).not.toBe(text)
    writeFileSync(path, changed)
    this.git('commit', '--quiet', '--all', '--message', subject)
    this.git('push', '--quiet', 'origin', `HEAD:${branch}`)
  }

  /** Whether the forge still lets in who cloned this. */
  isLetIn(): boolean {
    try {
      this.git('ls-remote', 'origin')
      return true
    } catch {
      return false
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  private git(...words: string[]): string {
    const options: ExecFileSyncOptionsWithStringEncoding = {
      cwd: this.folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 30_000,
      env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0' },
    }
    return execFileSync('git', words, options)
  }
}
