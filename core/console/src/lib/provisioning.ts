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

/** What is sent to resume; that what is planned shall be done is only said where its plan is shown. */
export const resumeOf = (isRemoved: boolean, one?: Pick<ProvisioningSummary, 'state'>): ResumeSovereign => ({
  ...(isRemoved && { removedByHand: true }),
  ...(one?.state === 'planned' && { create: true }),
})

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

/** The line of the log that an event is; nothing where it is not worth one. */
export function lineOf(event: Told): string | undefined {
  switch (event.event) {
    case 'job-begun':
      return `Begins to ${text(event, 'task')}.`
    case 'job-ended':
      return event.failure ? `Ended: ${text(event, 'outcome')}. ${text(event, 'failure')}` : `Ended: ${text(event, 'outcome')}.`
    case 'step-begun':
      return `[${text(event, 'number')}/${text(event, 'of')}] ${text(event, 'step')}, usually ${took(Number(event.expectedSeconds))}`
    case 'step-done':
      return `    done in ${took(Number(event.seconds))}`
    case 'step-failed':
      return `    failed: ${text(event, 'message')}`
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
