/**
 * Fleet upgrades: what the form asks for, and how far one is, in words.
 *
 * What must stay true: what is left alone is not sent, so that the Sovereign's own
 * order and bounds count.
 */
import type { PlannedUpgrade, UpgradePlanView, UpgradeRequest, UpgradeView } from '../api/types'
import { faultsOf } from './people'
import { STAGES } from './stages'

/** What the controls hold. */
export type UpgradeForm = {
  version: string
  /** Empty: all Organizations. */
  organization: string
  stages: string[]
  batch: string
  minutes: string
}

/** The most Applications at a time, and the most minutes, that the Sovereign takes. */
const MOST_AT_ONCE = 500
const MOST_MINUTES = 1440

export const blankForm = (version: string, organization: string): UpgradeForm => ({
  version, organization, stages: Object.keys(STAGES), batch: '', minutes: '',
})

function whole(text: string, most: number): number | undefined {
  const number = Number(text.trim())
  return Number.isInteger(number) && number >= 1 && number <= most ? number : undefined
}

function numberFault(text: string, most: number): string | undefined {
  return text.trim() === '' || whole(text, most) !== undefined ? undefined : `A whole number from 1 to ${most}.`
}

/** What is wrong with the form, by the id of its control. */
export function formFaults(form: UpgradeForm): Record<string, string> {
  return faultsOf({
    stages: form.stages.length === 0 ? 'Choose at least one stage.' : undefined,
    batch: numberFault(form.batch, MOST_AT_ONCE),
    minutes: numberFault(form.minutes, MOST_MINUTES),
  })
}

/** What is asked for; the stages in their order. */
export function requestOf(source: string, blueprint: string, form: UpgradeForm): UpgradeRequest {
  const order = Object.keys(STAGES)
  const stages = order.filter((stage) => form.stages.includes(stage))
  const batch = whole(form.batch, MOST_AT_ONCE)
  const minutes = whole(form.minutes, MOST_MINUTES)
  return {
    source,
    blueprint,
    to: form.version,
    ...(form.organization && { organization: form.organization }),
    ...(stages.length < order.length && { waves: stages }),
    ...(batch !== undefined && { batch }),
    ...(minutes !== undefined && { timeoutSeconds: minutes * 60 }),
  }
}

/** `1 Application`, `2 Applications`. */
export const counted = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`

/** How many Applications a plan would upgrade. */
export function sizeOf(plan: Pick<UpgradePlanView, 'waves'>): number {
  return plan.waves.reduce((sum, wave) => sum + wave.applications.length, 0)
}

/** What a plan does to the objects of one Application. */
export function objectWords(one: Pick<PlannedUpgrade, 'creates' | 'updates' | 'deletes'>): string {
  const parts = [[one.creates, 'come'], [one.updates, 'change'], [one.deletes, 'go']] as const
  return parts.filter(([count]) => count > 0).map(([count, word]) => `${count} ${word}`).join(', ') || 'none changes'
}

/** How many of a fleet upgrade are through, of how many. */
export function progressOf(view: Pick<UpgradeView, 'waves'>): { done: number; total: number } {
  const all = view.waves.flatMap((wave) => wave.applications)
  return { done: all.filter((one) => ['Done', 'Left'].includes(one.state)).length, total: all.length }
}

/** Whether nothing more of it can begin. */
export const isOver = (view: Pick<UpgradeView, 'phase'>) => ['Completed', 'Cancelled'].includes(view.phase)

/** Those that wait for somebody first, then those that go on, then the rest; by name. */
export function inOrder(views: Iterable<UpgradeView>): UpgradeView[] {
  const rank = (view: UpgradeView) => ['Stopped', 'Progressing'].indexOf(view.phase) + (isOver(view) ? 10 : 0)
  return [...views].sort((left, right) => rank(left) - rank(right) || left.name.localeCompare(right.name))
}

/** The title of a wave. */
export const waveTitle = (stage: string, index: number) => `Wave ${index + 1}: ${STAGES[stage] ?? stage}`
