import { execFileSync } from 'node:child_process'
import { defineConfig } from '@playwright/test'

/** The browser: $CHROMIUM, or whatever the machine calls chromium. */
function chromium(): string {
  if (process.env.CHROMIUM) return process.env.CHROMIUM
  for (const name of ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8' }).trim()
    } catch {
      // Not this one.
    }
  }
  throw new Error('No Chromium found. Install one (Debian: apt-get install chromium), or name it in $CHROMIUM.')
}

export default defineConfig({
  fullyParallel: true,
  forbidOnly: !!process.env.CI,
  retries: 0,
  workers: 2,
  timeout: 30_000,
  reporter: process.env.CI ? 'line' : 'list',
  use: {
    launchOptions: {
      executablePath: chromium(),
      // Chromium's own sandbox refuses to run as root.
      args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    },
    viewport: { width: 1180, height: 800 },
    actionTimeout: 10_000,
    screenshot: 'only-on-failure',
  },
  projects: [
    { name: 'console', testDir: './tests', testIgnore: '**/story/**' },
    // Against a running Sovereign: BASE_URL and SIGN_IN_LINK say which.
    { name: 'story', testDir: './tests/story', timeout: 300_000, use: { ignoreHTTPSErrors: true } },
  ],
})
