/** What a Sovereign that is provisioned looks like, and what its events say to people. */
import type { DestroySovereign, ProvisioningSummary, ProvisioningView, ResumeSovereign } from '../api/types'

/** Its phase, as `Phase.svelte` shows it. */
export function phaseOf(one: Pick<ProvisioningSummary, 'state' | 'task'>): string {
  if (one.state === 'running' && one.task) return { plan: 'Planning', provision: 'Provisioning', destroy: 'Destroying', archive: 'Archiving', restore: 'Restoring' }[one.task]
  return one.state.charAt(0).toUpperCase() + one.state.slice(1)
}

/** Whether a job is at work. */
export const isAtWork = (one: Pick<ProvisioningSummary, 'state'>) => one.state === 'running' || one.state === 'cancelling'

/** Whether the token may be why the last job did not end well, so that another is offered to a destroy. */
export const mayWantToken = (one: Pick<ProvisioningSummary, 'state'>) => ['failed', 'interrupted', 'cancelled'].includes(one.state)

/** Where a refusal says that the token is missing or wrong. */
export const TOKEN_POINTER = '/credentials/hetznerToken'

/** Whether the last job was refused because its token's project has nothing of what was made. */
export const mayBeRemoved = (one: Pick<ProvisioningView, 'state' | 'failure'>) => one.state === 'failed' && (one.failure ?? '').includes('removedByHand')

/**
 * What is sent to resume; that what is planned shall be done is only said where its plan is shown, and of that plan.
 * `named` is the domain, once it was typed because the plan takes away what the Sovereign stands on.
 */
export const resumeOf = (isRemoved: boolean, one?: Pick<ProvisioningView, 'state' | 'planDigest'>, named?: string): ResumeSovereign => ({
  ...(isRemoved && { removedByHand: true }),
  ...(one?.state === 'planned' && { create: true, ...(one.planDigest && { plan: one.planDigest }) }),
  ...(named && { allowDestroy: named }),
})

/** What the shown plan deletes or replaces of what the Sovereign stands on. */
export const lossesOf = (one: Pick<ProvisioningView, 'state' | 'planned'>): string[] =>
  one.state === 'planned' ? one.planned.filter((change) => change.loses).map((change) => `${change.action} ${change.address}`) : []

/** What to do next; of a plan in the words of this page, which shows it and has a button for it. */
export function nextOf(one: Pick<ProvisioningView, 'state' | 'planned' | 'next' | 'without'>): string | undefined {
  if (one.state !== 'planned') return one.next ?? undefined
  let own = 'Nothing of the plan is done yet. Look at it, and carry it out.'
  if (one.planned.length === 0) own = 'Nothing would change. Take the steps that are left.'
  else if (lossesOf(one).length > 0) own = 'Nothing of the plan is done yet. It deletes or replaces what the Sovereign stands on: carry it out only where that is meant.'
  return one.without ? `${one.without} ${own}` : own
}

/** What resuming is called: a plan that has not ended is planned again. */
export function resumeTitle(one: Pick<ProvisioningView, 'state' | 'task' | 'planned'>): string {
  if (one.state === 'planned') return one.planned.length > 0 ? 'Carry out the plan' : 'Take the steps that are left'
  return one.task === 'plan' ? 'Resume planning' : 'Resume'
}

/** What is sent to destroy: another token only where one was given. */
export function destroyOf(token: string, isRemoved: boolean): DestroySovereign {
  const given = token.trim()
  return { ...resumeOf(isRemoved), ...(given !== '' && { credentials: { hetznerToken: given } }) }
}

/** Seconds as people say them. */
export function took(seconds: number): string {
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60]
  if (hours > 0) return `${hours} h ${String(minutes).padStart(2, '0')} min`
  return minutes > 0 ? `${minutes} min ${String(rest).padStart(2, '0')} s` : `${rest} s`
}

type Told = Record<string, unknown>

const text = (event: Told, name: string) => String(event[name] ?? '')

const firstLine = (of: string) => of.split('\n', 1)[0] ?? ''

/**
 * The line of the log that an event is; nothing where it is not worth one. `titles` are those of the steps, by name. Why
 * a job failed stands whole above the log, and what OpenTofu told of it in lines of its own: neither is said again.
 */
export function lineOf(event: Told, titles: Record<string, string> = {}): string | undefined {
  switch (event.event) {
    case 'job-begun':
      return `Begins to ${text(event, 'task')}.`
    case 'job-ended':
      return `Ended: ${text(event, 'outcome')}.`
    case 'step-begun':
      return `[${text(event, 'number')}/${text(event, 'of')}] ${titles[text(event, 'step')] ?? text(event, 'step')}, usually ${took(Number(event.expectedSeconds))}`
    case 'step-done':
      return `    done in ${took(Number(event.seconds))}`
    case 'step-failed':
      return `    failed: ${firstLine(text(event, 'message'))}`
    case 'found':
      return `    ${event.problem ? 'problem' : 'note'}: ${text(event, 'subject')}: ${text(event, 'message')}`
    case 'resources':
      return `    ${text(event, 'done')}/${text(event, 'total')} resources`
    case 'waiting':
      return `    ${took(Number(event.seconds))} of at most ${took(Number(event.limitSeconds))}: ${text(event, 'what')}`
    case 'planned':
      return `    ${counted(Array.isArray(event.changes) ? event.changes.length : 0)} would change`
    case 'restored':
      return `    the state is there again, with ${counted(Number(event.resources))}`
    case 'tofu':
      return tofuLine(event)
    default:
      return undefined
  }
}

const counted = (resources: number) => (resources === 1 ? 'one resource' : `${resources} resources`)

function tofuLine(event: Told): string | undefined {
  if (event.type === 'diagnostic') return `    ${event.error ? 'error' : 'warning'}: ${text(event, 'summary')}`
  if (event.type !== 'resource' || event.state === 'begun') return undefined
  return `    ${text(event, 'address')}: ${text(event, 'action')} ${text(event, 'state')}, ${took(Number(event.seconds))}`
}
