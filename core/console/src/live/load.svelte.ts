/**
 * Loads for pages: asks again when what it was asked with changes, when the
 * stream says `reset`, and on request.
 */
import { untrack } from 'svelte'
import { api, asProblem, isAway, ProblemError } from '../api/client'
import type { Problem } from '../api/types'
import * as state from './state.svelte'
import { FIRST_PAUSE, LONGEST_PAUSE } from './hub'

export type Load = { readonly problem: Problem | undefined; readonly isLoading: boolean; reload: () => void }

/** To be called while a component is set up. What `run` reads before its first await is followed. */
export function load(run: () => Promise<void>): Load {
  let problem = $state<Problem>()
  let isLoading = $state(true)
  let asked = $state(0)
  $effect(() => {
    void state.live.generation
    void asked
    let isCurrent = true
    isLoading = true
    run().then(
      () => {
        if (isCurrent) problem = undefined
      },
      (error: unknown) => {
        if (isCurrent) problem = asProblem(error)
      },
    ).finally(() => {
      if (isCurrent) isLoading = false
    })
    return () => {
      isCurrent = false
    }
  })
  whenBack(() => problem, () => asked++)
  return {
    get problem() {
      return problem
    },
    get isLoading() {
      return isLoading
    },
    reload: () => asked++,
  }
}

/**
 * Calls `again` for what found no Sovereign, once it is back: at once, then
 * after ever longer pauses. To be called while a component is set up.
 */
export function whenBack(problem: () => Problem | undefined, again: () => void): void {
  let pause = 0
  $effect(() => {
    const found = problem()
    if (!found) pause = 0
    if (!isAway(found) || state.live.connection !== 'live') return
    const timer = setTimeout(() => {
      pause = Math.min(LONGEST_PAUSE, Math.max(FIRST_PAUSE, pause * 2))
      again()
    }, pause)
    return () => clearTimeout(timer)
  })
}

export async function loadOrganizations(): Promise<void> {
  const begun = state.organizations.begin()
  const items = await api.organizations()
  state.organizations.answerAll(begun, items.map((item) => [item.name, item]), () => true)
}

/** Reads the list instead while the Organization was accepted and is not there yet: asked for by itself it would be a 404. */
export async function loadOrganization(name: string): Promise<void> {
  if (isAwaited(`organization/${name}`, state.organizations, name)) return await loadOrganizations()
  await one(state.organizations, name, () => api.organization(name))
}

export async function loadEnvironments(organization?: string): Promise<void> {
  const begun = state.environments.begin()
  const items = organization ? await api.organizationEnvironments(organization) : await api.environments()
  state.environments.answerAll(
    begun,
    items.map((item) => [item.name, item]),
    (_, item) => !organization || item.organization === organization,
  )
}

export async function loadEnvironment(name: string): Promise<void> {
  await one(state.environments, name, () => api.environment(name))
}

export async function loadApplications(environment: string): Promise<void> {
  const begun = state.applications.begin()
  const items = await api.applications(environment)
  state.applications.answerAll(
    begun,
    items.map((item) => {
      const key = `${item.environment}/${item.name}`
      return [key, { ...state.applications.items.get(key), ...item }]
    }),
    (_, item) => item.environment === environment,
  )
}

/** Reads the list instead while the Application was accepted and is not there yet, as {@link loadOrganization} does. */
export async function loadApplication(environment: string, name: string): Promise<void> {
  if (isAwaited(`application/${environment}/${name}`, state.applications, `${environment}/${name}`)) return await loadApplications(environment)
  await one(state.applications, `${environment}/${name}`, () => api.application(environment, name))
}

export async function loadBlueprints(): Promise<void> {
  const begun = state.blueprints.begin()
  const items = await api.blueprints()
  state.blueprints.answerAll(begun, items.map((item) => [`${item.source}/${item.name}`, item]), () => true)
}

export async function loadSources(): Promise<void> {
  const begun = state.sources.begin()
  const items = await api.blueprintSources()
  state.sources.answerAll(begun, items.map((item) => [item.source, item]), () => true)
}

export async function loadPolicies(): Promise<void> {
  const begun = state.policies.begin()
  const items = await api.policies()
  state.policies.answerAll(begun, items.map((item) => [item.name, item]), () => true)
}

export async function loadPullRequests(environment: string): Promise<void> {
  const begun = state.pullRequests.begin()
  const items = await api.pullRequests(environment)
  state.pullRequests.answerAll(
    begun,
    items.map((item) => [`${item.environment}/${item.number}`, item]),
    (_, item) => item.environment === environment,
  )
}

/** Answers its diff, which the stream and lists leave out. */
export async function loadPullRequest(environment: string, number: number): Promise<string | undefined> {
  return (await one(state.pullRequests, `${environment}/${number}`, () => api.pullRequest(environment, number))).diff ?? undefined
}

export async function loadUpgrades(): Promise<void> {
  const begun = state.upgrades.begin()
  const items = await api.upgrades()
  state.upgrades.answerAll(begun, items.map((item) => [item.name, item]), () => true)
}

/** Reads the list instead while the upgrade was accepted and is not there yet, as {@link loadOrganization} does. */
export async function loadUpgrade(name: string): Promise<void> {
  if (isAwaited(`upgrade/${name}`, state.upgrades, name)) return await loadUpgrades()
  await one(state.upgrades, name, () => api.upgrade(name))
}

export async function loadDeletions(): Promise<void> {
  const begun = state.deletions.begin()
  const items = await api.deletions()
  state.deletions.answerAll(begun, items.map((item) => [`${item.kind}/${item.name}`, item]), () => true)
}

/** Whether something accepted has yet to show; a load that asks this runs again once it does. */
function isAwaited(expected: string, { items }: { items: ReadonlyMap<string, unknown> }, key: string): boolean {
  if (untrack(() => items.has(key) || !state.expected.has(expected))) return false
  // Read again where it is followed; what is there already need not be.
  return !items.has(key)
}

type Keeper<T> = {
  begin: () => number
  answer: (begun: number, key: string, item: T) => void
  answerGone: (begun: number, key: string) => void
}

async function one<T>(collection: Keeper<T>, key: string, ask: () => Promise<T>): Promise<T> {
  const begun = collection.begin()
  try {
    const item = await ask()
    collection.answer(begun, key, item)
    return item
  } catch (error) {
    if (error instanceof ProblemError && error.problem.status === 404) collection.answerGone(begun, key)
    throw error
  }
}
