/**
 * All that the tab knows: who is signed in, the read model as far as pages have
 * asked for it, and the state of the stream. Pages read from here, so that what
 * the stream brings shows everywhere at once.
 */
import { SvelteMap, SvelteSet } from 'svelte/reactivity'
import { api, asProblem, isAway, onAnswer, ProblemError, signOut } from '../api/client'
import type * as Api from '../api/types'
import { ServerClock } from '../lib/time'
import { words } from '../lib/phase'
import { news } from '../lib/sources'
import { Collection } from './collection'
import { connect, type Connection } from './connection'
import type { ConnectionState, HubMessage } from './hub'

export const organizations = new Collection<Api.OrganizationView>(new SvelteMap())
export const environments = new Collection<Api.EnvironmentView>(new SvelteMap())
/** By `{environment}/{application}`; whole where it was asked for or streamed. */
export const applications = new Collection<Api.ApplicationSummary & Partial<Api.ApplicationView>>(new SvelteMap())
/** By `{source}/{name}`. */
export const blueprints = new Collection<Api.BlueprintCard>(new SvelteMap())
/** Sources of Blueprints, by name. */
export const sources = new Collection<Api.BlueprintSourceView>(new SvelteMap())
export const policies = new Collection<Api.PolicyView>(new SvelteMap())
/** By `{environment}/{number}`; the page of one asks for its diff. */
export const pullRequests = new Collection<Api.PullRequestView>(new SvelteMap())
export const upgrades = new Collection<Api.UpgradeView>(new SvelteMap())
/** By `{kind}/{name}`. */
export const deletions = new Collection<Api.DeletionView>(new SvelteMap())

/** What was accepted and has yet to show: `organization/acme`, `application/acme-dev/blog`, `upgrade/blog-1`. */
export const expected = new SvelteSet<string>()

export const session = $state({
  state: 'starting' as 'starting' | 'signed-in' | 'signed-out' | 'failed',
  me: undefined as Api.Me | undefined,
  sovereign: undefined as Api.SovereignView | undefined,
  problem: undefined as Api.Problem | undefined,
  /** Whether there was one in this tab before it was signed out. */
  hasEnded: false,
})

export const live = $state({
  connection: 'connecting' as ConnectionState,
  /** Counts up whenever everything must be read anew. */
  generation: 0,
  /** What screen readers are told. */
  announcement: '',
  /** The Sovereign's time in ms, ticking each second. */
  now: Date.now(),
})

const clock = new ServerClock()
let connection: Connection | undefined
/** How long (ms) to wait before asking a Sovereign that is away who is signed in. */
const SIGN_IN_PAUSE = 2000
let retry: ReturnType<typeof setTimeout> | undefined

/** Finds out who is signed in, and begins to listen. */
export async function start(): Promise<void> {
  onAnswer({
    unauthenticated: signedOut,
    clock: (time) => clock.note(time, Date.now()),
  })
  setInterval(() => {
    if (document.visibilityState === 'visible') live.now = clock.at(Date.now())
  }, 1000)
  document.addEventListener('visibilitychange', () => (live.now = clock.at(Date.now())))
  await signIn()
}

/** Asks who is signed in; also after a failure, and by itself again while the Sovereign is away. */
export async function signIn(): Promise<void> {
  clearTimeout(retry)
  try {
    const [me, sovereign] = await Promise.all([api.me(), api.sovereign()])
    session.me = me
    session.sovereign = sovereign
    session.state = 'signed-in'
    session.hasEnded = false
    connection ??= connect(me.username, hear)
  } catch (error) {
    if (error instanceof ProblemError && error.problem.status === 401) return
    session.problem = asProblem(error)
    session.state = 'failed'
    if (isAway(session.problem)) retry = setTimeout(signIn, SIGN_IN_PAUSE)
  }
}

/** Whoever signed in again, in another tab, say, goes on in this one. */
export async function signInAgain(): Promise<void> {
  try {
    await api.me()
  } catch {
    return
  }
  await signIn()
}

/** Forgets everything about the user. */
export function signedOut(): void {
  if (session.state === 'signed-out') return
  connection?.close()
  connection = undefined
  session.hasEnded = session.me !== undefined
  session.state = 'signed-out'
  session.me = undefined
  for (const collection of [organizations, environments, applications, blueprints, sources, policies, pullRequests, upgrades, deletions]) {
    collection.items.clear()
  }
  expected.clear()
}

/** Ends the session here, then, by way of the browser, at the issuer. */
export async function signOutEverywhere(): Promise<void> {
  const location = await signOut()
  signedOut()
  session.hasEnded = false
  window.location.assign(location)
}

/** Reads again what the user may do: their roles may have changed. */
async function refreshMe(): Promise<void> {
  try {
    session.me = await api.me()
  } catch {
    // Signed out is handled where every answer is; anything else waits.
  }
}

function hear(message: HubMessage): void {
  switch (message.type) {
    case 'state':
      live.connection = message.state
      break
    case 'reset':
      live.generation++
      // What one may see may have changed, too.
      void refreshMe()
      break
    case 'unauthenticated':
      signedOut()
      break
    case 'change':
      take(message.change)
  }
}

export function announce(text: string): void {
  // The same words twice are not read twice, unless they differ.
  live.announcement = live.announcement === text ? `${text}\u00a0` : text
}

function take(change: Api.StreamItem): void {
  switch (change.kind) {
    case 'organization': {
      const known = organizations.items.get(change.item.name)
      announceHealth(`Organization ${change.item.name}`, known?.health, change.item.health)
      organizations.put(change.item.name, change.item)
      void refreshMe()
      break
    }
    case 'environment': {
      const known = environments.items.get(change.item.name)
      announceHealth(`Environment ${change.item.name}`, known?.health, change.item.health)
      environments.put(change.item.name, change.item)
      break
    }
    case 'application': {
      const key = `${change.item.environment}/${change.item.name}`
      const known = applications.items.get(key)
      announceHealth(`${change.item.name} in ${change.item.environment}`, known?.health, change.item.health)
      applications.put(key, change.item)
      break
    }
    case 'blueprint':
      blueprints.put(`${change.item.source}/${change.item.name}`, change.item)
      break
    case 'blueprintSource': {
      const known = sources.items.get(change.item.source)
      sources.put(change.item.source, change.item)
      const told = known ? news(known, change.item) : undefined
      if (told) announce(told)
      break
    }
    case 'policy':
      policies.put(change.item.name, change.item)
      break
    case 'pullRequest': {
      const key = `${change.item.environment}/${change.item.number}`
      const known = pullRequests.items.get(key)
      pullRequests.put(key, change.item)
      if (known && known.state !== change.item.state) {
        announce(`Pull request ${change.item.number} in ${change.item.environment} is ${change.item.state}.`)
      }
      break
    }
    case 'upgrade': {
      const known = upgrades.items.get(change.item.name)
      upgrades.put(change.item.name, change.item)
      if (known && known.phase !== change.item.phase) announce(`Fleet upgrade ${change.item.name} is now ${words(change.item.phase)}.`)
      break
    }
    case 'deletion': {
      const key = `${change.item.kind}/${change.item.name}`
      const known = deletions.items.get(key)
      deletions.put(key, change.item)
      if (change.item.endedAt && !known?.endedAt) announce(`${change.item.kind} ${change.item.name} is deleted.`)
      break
    }
    case 'removed':
      remove(change.item)
  }
}

function remove({ kind, name }: Api.Removed): void {
  const collections: Record<string, { remove: (key: string) => void }> = {
    organization: organizations,
    environment: environments,
    application: applications,
    blueprint: blueprints,
    blueprintSource: sources,
    policy: policies,
    pullRequest: pullRequests,
    upgrade: upgrades,
    deletion: deletions,
  }
  collections[kind]?.remove(name)
  if (kind === 'organization') void refreshMe()
}

function announceHealth(what: string, before: Api.Health | undefined, after: Api.Health): void {
  if (before && before.phase !== after.phase) announce(`${what} is now ${words(after.phase)}.`)
}
