/** The keyboard as the only way around a page. */
import type { Page } from '@playwright/test'

/** Presses Tab until what has the focus is called this; a field by its label, without the tags beside it. */
export async function tabTo(page: Page, name: string) {
  for (let presses = 0; presses < 60; presses++) {
    await page.keyboard.press('Tab')
    const found = await page.evaluate(() => {
      const element = document.activeElement as HTMLElement | null
      const label = element instanceof HTMLInputElement ? element.labels?.[0]?.firstChild?.textContent : element?.textContent
      return (label ?? '').replace(/\s+/g, ' ').trim()
    })
    if (found === name) return
  }
  throw new Error(`Tab never reached “${name}”`)
}
