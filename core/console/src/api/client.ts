/**
 * Talks to `/api/v1`. Every page asks through here.
 *
 * What must stay true: every failure is a {@link ProblemError}, also one that
 * never reached the Sovereign, so that pages know one kind of error only; and a
 * 401 is told to the session, which shows the sign-in page.
 */
import type { Schema } from '../lib/schema'
import type * as Api from './types'

const BASE = '/api/v1'

/** A refusal or failure, as RFC 9457 has it. */
export class ProblemError extends Error {
  constructor(readonly problem: Api.Problem) {
    super(`${problem.title}: ${problem.detail}`)
  }
}

let unauthenticated: () => void = () => {}
let clock: (serverTime: number) => void = () => {}

/** Says what to do when nobody is signed in, and who learns the Sovereign's time (ms). */
export function onAnswer(options: { unauthenticated: () => void; clock: (serverTime: number) => void }): void {
  unauthenticated = options.unauthenticated
  clock = options.clock
}

/** Joins path segments, each escaped. */
export function path(...segments: (string | number)[]): string {
  return segments.map((segment) => '/' + encodeURIComponent(String(segment))).join('')
}

/** Turns any answer that is an error into a Problem. */
export async function problemOf(answer: Response, attempted: string): Promise<Api.Problem> {
  const text = await answer.text().catch(() => '')
  if (answer.headers.get('content-type')?.includes('json')) {
    try {
      const problem = JSON.parse(text) as Partial<Api.Problem>
      if (typeof problem.title === 'string') {
        return { type: 'unknown', detail: '', ...problem, title: problem.title, status: answer.status }
      }
    } catch {
      // Not JSON after all: reported as text below.
    }
  }
  return {
    type: 'unexpected-answer',
    title: attempted,
    status: answer.status,
    detail: text.trim().slice(0, 500) || `The Sovereign answered ${answer.status} ${answer.statusText}.`,
    next: 'Try again; if it stays, ask your sovereign-admin to look at the log.',
  }
}

/** A Problem for what never got an answer. */
export function unreachable(attempted: string): Api.Problem {
  return {
    type: 'unreachable',
    title: attempted,
    status: 0,
    detail: 'The Sovereign did not answer.',
    next: 'Check your connection, then try again.',
  }
}

/** Problems that do not go by waiting: our own, and a control plane that was started without provisioning. */
const OF_ITSELF = ['console-fault', 'provisioning-off']

/** Whether a Problem is one of a Sovereign that is away, restarting, say, and not of what was asked. */
export function isAway(problem: Api.Problem | undefined): boolean {
  return problem !== undefined && [0, 502, 503, 504].includes(problem.status) && !OF_ITSELF.includes(problem.type)
}

export async function request(
  method: string,
  target: string,
  options: { body?: unknown; signal?: AbortSignal; accept?: string; after?: string | undefined } = {},
): Promise<Response> {
  const attempted = `${method} ${target}`
  let answer: Response
  try {
    answer = await fetch(BASE + target, {
      method,
      signal: options.signal ?? null,
      credentials: 'same-origin',
      headers: {
        accept: options.accept ?? 'application/json',
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(options.after === undefined ? {} : { 'last-event-id': options.after }),
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    })
  } catch (error) {
    if (options.signal?.aborted) throw error
    throw new ProblemError(unreachable(attempted))
  }
  const date = Date.parse(answer.headers.get('date') ?? '')
  if (!Number.isNaN(date)) clock(date)
  if (answer.ok) return answer
  const problem = await problemOf(answer, attempted)
  if (answer.status === 401) unauthenticated()
  throw new ProblemError(problem)
}

/** Ends the session; answers where the browser goes on. */
export async function signOut(): Promise<string> {
  const attempted = 'Sign out'
  let answer: Response
  try {
    answer = await fetch('/auth/sign-out', { method: 'POST', credentials: 'same-origin', headers: { accept: 'application/json' } })
  } catch {
    throw new ProblemError(unreachable(attempted))
  }
  if (!answer.ok) throw new ProblemError(await problemOf(answer, attempted))
  const { location } = (await answer.json()) as { location: string }
  return location
}

async function json<T>(method: string, target: string, body?: unknown): Promise<T> {
  const answer = await request(method, target, { body })
  const text = await answer.text()
  return (text === '' ? {} : JSON.parse(text)) as T
}

/** Reads a list to its end. */
async function list<T>(target: string): Promise<T[]> {
  const items: T[] = []
  let after: string | undefined
  do {
    const page: Api.Page<T> = await json('GET', after ? `${target}${target.includes('?') ? '&' : '?'}after=${encodeURIComponent(after)}` : target)
    items.push(...page.items)
    after = page.next ?? undefined
  } while (after)
  return items
}

export const api = {
  me: () => json<Api.Me>('GET', '/me'),
  sovereign: () => json<Api.SovereignView>('GET', '/sovereign'),

  organizations: () => list<Api.OrganizationView>('/organizations'),
  organization: (name: string) => json<Api.OrganizationView>('GET', '/organizations' + path(name)),
  organizationCreate: (body: Api.CreateOrganization) => json<Api.Accepted>('POST', '/organizations', body),
  organizationDelete: (name: string, withApplications: boolean) =>
    json<Api.Accepted>('DELETE', '/organizations' + path(name) + (withApplications ? '?applications=drop' : '')),
  memberSet: (organization: string, user: string, body: Api.SetRole) =>
    json<Api.Accepted>('PUT', '/organizations' + path(organization, 'members', user), body),
  memberRemove: (organization: string, user: string) =>
    json<Api.Accepted>('DELETE', '/organizations' + path(organization, 'members', user)),
  memberInvite: (organization: string, body: Api.Invite) =>
    json<Api.Invitation>('POST', '/organizations' + path(organization, 'invitations'), body),
  organizationEnvironments: (organization: string) =>
    list<Api.EnvironmentView>('/organizations' + path(organization, 'environments')),
  environmentCreate: (organization: string, body: Api.CreateEnvironment) =>
    json<Api.Accepted>('POST', '/organizations' + path(organization, 'environments'), body),

  users: () => list<Api.UserView>('/users'),
  userInvite: (body: Api.Invite) => json<Api.Invitation>('POST', '/users/invitations', body),
  userRemove: (user: string) => json<unknown>('DELETE', '/users' + path(user)),

  environments: () => list<Api.EnvironmentView>('/environments'),
  environment: (name: string) => json<Api.EnvironmentView>('GET', '/environments' + path(name)),
  environmentDelete: (name: string, withApplications: boolean) =>
    json<Api.Accepted>('DELETE', '/environments' + path(name) + (withApplications ? '?applications=drop' : '')),

  blueprints: () => list<Api.BlueprintCard>('/blueprints'),
  /** Those that fit, the best first. */
  blueprintSearch: ({ q, category }: { q: string; category: string }) =>
    list<Api.BlueprintCard>(`/blueprints?${new URLSearchParams({ ...(q && { q }), ...(category && { category }) })}`),
  blueprint: (source: string, name: string, version?: string) =>
    json<Api.BlueprintDetail>(
      'GET',
      '/blueprints' + path(source, name) + (version ? `?version=${encodeURIComponent(version)}` : ''),
    ),
  blueprintSources: () => list<Api.BlueprintSourceView>('/blueprint-sources'),
  blueprintVulnerabilities: (source: string, name: string, version: string) =>
    json<Api.VulnerabilityReport>('GET', '/blueprints' + path(source, name, version, 'vulnerabilities')),

  plan: (environment: string, command: Api.ApplicationCommand) =>
    json<Api.PlanView>('POST', '/environments' + path(environment, 'plans'), command),
  execute: (environment: string, command: Api.Execute) =>
    json<Api.Accepted>('POST', '/environments' + path(environment, 'changes'), command),
  applications: (environment: string) =>
    list<Api.ApplicationSummary>('/environments' + path(environment, 'applications')),
  application: (environment: string, name: string) =>
    json<Api.ApplicationView>('GET', '/environments' + path(environment, 'applications', name)),
  applicationVulnerabilities: (environment: string, name: string) =>
    json<Api.VulnerabilityReport>('GET', '/environments' + path(environment, 'applications', name, 'vulnerabilities')),
  history: (environment: string, name: string) =>
    list<Api.Revision>('/environments' + path(environment, 'applications', name, 'history')),
  revision: (environment: string, name: string, commit: string) =>
    json<Api.RevisionDetail>('GET', '/environments' + path(environment, 'applications', name, 'history', commit)),
  logs: (
    environment: string,
    name: string,
    options: { container?: string; tail: number; follow: boolean },
    signal: AbortSignal,
  ) => {
    const query = new URLSearchParams({ tail: String(options.tail), follow: String(options.follow) })
    if (options.container) query.set('container', options.container)
    const target = '/environments' + path(environment, 'applications', name, 'logs') + `?${query}`
    return request('GET', target, { signal, accept: 'text/plain' })
  },

  pullRequests: (environment: string) =>
    list<Api.PullRequestView>('/environments' + path(environment, 'pull-requests')),
  pullOpen: (environment: string, body: Api.OpenPull) =>
    json<Api.Accepted>('POST', '/environments' + path(environment, 'pull-requests'), body),
  branches: (environment: string) => list<Api.BranchView>('/environments' + path(environment, 'branches')),
  pullRequest: (environment: string, number: number) =>
    json<Api.PullRequestView>('GET', '/environments' + path(environment, 'pull-requests', number)),
  pullApprove: (environment: string, number: number) =>
    json<unknown>('POST', '/environments' + path(environment, 'pull-requests', number, 'approval')),
  pullMerge: (environment: string, number: number) =>
    json<Api.Accepted>('POST', '/environments' + path(environment, 'pull-requests', number, 'merge')),
  pullClose: (environment: string, number: number) =>
    json<Api.PullRequestView>('POST', '/environments' + path(environment, 'pull-requests', number, 'close')),

  policies: () => list<Api.PolicyView>('/policies'),
  policyPut: (policy: Api.PolicyView) => json<Api.Accepted>('PUT', '/policies' + path(policy.name), policy),
  policyDelete: (name: string) => json<Api.Accepted>('DELETE', '/policies' + path(name)),

  upgrades: () => list<Api.UpgradeView>('/upgrades'),
  upgrade: (name: string) => json<Api.UpgradeView>('GET', '/upgrades' + path(name)),
  upgradePlan: (body: Api.UpgradeRequest) => json<Api.UpgradePlanView>('POST', '/upgrade-plans', body),
  upgradeStart: (body: Api.StartUpgrade) => json<Api.UpgradeAccepted>('POST', '/upgrades', body),
  upgradeCancel: (name: string) => json<Api.Accepted>('POST', '/upgrades' + path(name, 'cancel')),
  upgradeResume: (name: string) => json<Api.Accepted>('POST', '/upgrades' + path(name, 'resume')),

  deletions: () => list<Api.DeletionView>('/deletions'),

  registryHook: () => json<Api.RegistryHook>('GET', '/hooks/registry'),

  sovereigns: () => list<Api.ProvisioningSummary>('/sovereigns'),
  sovereignSchema: () => json<Schema>('GET', '/sovereigns/schema'),
  sovereignRender: (body: Api.RenderSovereign) => json<Api.RenderedSovereign>('POST', '/sovereigns/render', body),
  sovereignCreate: (body: Api.CreateSovereign) => json<Api.ProvisioningView>('POST', '/sovereigns', body),
  provisioned: (fqdn: string) => json<Api.ProvisioningView>('GET', '/sovereigns' + path(fqdn)),
  sovereignPlan: (fqdn: string, body: Api.PlanSovereign) =>
    json<Api.ProvisioningView>('POST', '/sovereigns' + path(fqdn, 'plan'), body),
  sovereignResume: (fqdn: string, body: Api.ResumeSovereign) =>
    json<Api.ProvisioningView>('POST', '/sovereigns' + path(fqdn, 'resume'), body),
  sovereignArchive: (fqdn: string) => json<Api.ProvisioningView>('POST', '/sovereigns' + path(fqdn, 'archive')),
  sovereignRestore: (fqdn: string) => json<Api.ProvisioningView>('POST', '/sovereigns' + path(fqdn, 'restore')),
  sovereignCancel: (fqdn: string) => json<Api.ProvisioningView>('POST', '/sovereigns' + path(fqdn, 'cancel')),
  sovereignForget: (fqdn: string) => json<unknown>('POST', '/sovereigns' + path(fqdn, 'forget')),
  sovereignDestroy: (fqdn: string, body: Api.DestroySovereign) =>
    json<Api.ProvisioningView>('POST', '/sovereigns' + path(fqdn, 'destroy') + `?confirm=${encodeURIComponent(fqdn)}`, body),
  sovereignEvents: (fqdn: string, after: string | undefined, signal: AbortSignal) =>
    request('GET', '/sovereigns' + path(fqdn, 'events'), { signal, accept: 'text/event-stream', after }),
}

/** Any thrown thing as a Problem, for showing. */
export function asProblem(error: unknown): Api.Problem {
  if (error instanceof ProblemError) return error.problem
  return {
    type: 'console-fault',
    title: 'Show this page',
    status: 0,
    detail: error instanceof Error ? error.message : String(error),
    next: 'Reload the page; if it stays, report it with what you did.',
  }
}
