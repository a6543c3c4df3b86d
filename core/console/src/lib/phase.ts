/** Phases: a word, a sign and a tone each, so that colour never says it alone. */

export type Tone = 'good' | 'busy' | 'warn' | 'bad' | 'idle'

const PHASES: Record<string, { sign: string; tone: Tone }> = {
  Running: { sign: '✓', tone: 'good' },
  Ready: { sign: '✓', tone: 'good' },
  Installing: { sign: '↓', tone: 'busy' },
  Updating: { sign: '↻', tone: 'busy' },
  Deleting: { sign: '⌫', tone: 'busy' },
  PendingApproval: { sign: '◔', tone: 'warn' },
  Degraded: { sign: '!', tone: 'warn' },
  Stale: { sign: '?', tone: 'warn' },
  Failed: { sign: '✕', tone: 'bad' },
  Paused: { sign: '‖', tone: 'idle' },
  // Of fleet upgrades, and of the Applications in one.
  Progressing: { sign: '↻', tone: 'busy' },
  Stopped: { sign: '!', tone: 'bad' },
  Completed: { sign: '✓', tone: 'good' },
  Waiting: { sign: '·', tone: 'idle' },
  Proposed: { sign: '◔', tone: 'warn' },
  RollingOut: { sign: '↻', tone: 'busy' },
  Done: { sign: '✓', tone: 'good' },
  Left: { sign: '–', tone: 'idle' },
  // Of Sovereigns that are provisioned.
  Planning: { sign: '↻', tone: 'busy' },
  Provisioning: { sign: '↓', tone: 'busy' },
  Destroying: { sign: '⌫', tone: 'busy' },
  Cancelling: { sign: '↻', tone: 'busy' },
  Planned: { sign: '◔', tone: 'warn' },
  Interrupted: { sign: '!', tone: 'warn' },
  Unreadable: { sign: '✕', tone: 'bad' },
  Provisioned: { sign: '✓', tone: 'good' },
  Archived: { sign: '✓', tone: 'good' },
  Cancelled: { sign: '‖', tone: 'idle' },
  Destroyed: { sign: '·', tone: 'idle' },
}

/** Phases in which something is deployed, as a list tells them, which does not say what. */
const DEPLOYED = ['Running', 'Updating', 'Degraded', 'Stale']

/** Where to open an Application: its address, once there is something behind it. */
export function pageOf(application: { url?: string | null; deployedVersion?: string | null; health: { phase: string } }): string | undefined {
  const isDeployed = Boolean(application.deployedVersion) || DEPLOYED.includes(application.health.phase)
  return (isDeployed && application.url) || undefined
}

/** How a phase looks. An unknown phase is shown by its word. */
export function phaseLook(phase: string): { word: string; sign: string; tone: Tone } {
  const look = PHASES[phase] ?? { sign: '·', tone: 'idle' as const }
  return { word: words(phase), ...look }
}

/** `PendingApproval` → `Pending approval`. */
export function words(name: string): string {
  const spaced = name.replace(/([a-z])([A-Z])/g, (_, end: string, start: string) => `${end} ${start.toLowerCase()}`)
  return spaced === '' ? 'Unknown' : spaced
}
