/**
 * What the signed-in user may do, to offer only what would be granted. The
 * gateway decides; this only spares people useless buttons.
 */
import type { Me, PolicyView, PullRequestView, Role, UpgradeView } from '../api/types'

/** `acme-prod` → `acme`: an env type has no hyphen. */
export function organizationOf(environment: string): string {
  return environment.slice(0, Math.max(0, environment.lastIndexOf('-')))
}

export function mayAdminister(me: Me, organization: string): boolean {
  return me.sovereignAdmin || me.organizations.some((one) => one.organization === organization && one.role === 'org-admin')
}

export function mayChange(me: Me, environment: string): boolean {
  const organization = organizationOf(environment)
  return (
    mayAdminister(me, organization) ||
    me.organizations.some(
      (one) =>
        one.organization === organization &&
        one.role === 'org-developer' &&
        (!one.environments?.length || one.environments.includes(environment)),
    )
  )
}

/** Whether an Application may be promoted: by whoever may change either end. */
export function mayPromote(me: Me, from: string, to: string): boolean {
  return from !== to && organizationOf(from) === organizationOf(to) && (mayChange(me, from) || mayChange(me, to))
}

/** Whether there is an Environment of the Organization that may be changed, if it is one that is there. */
export function mayChangeSome(me: Me, organization: string): boolean {
  return mayAdminister(me, organization) || hasRole(me, organization, 'org-developer')
}

/** Whether a source's Blueprints are for an Organization: the catalogs are for all, the others for their own. */
export function mayUseSource(source: string, organization: string): boolean {
  return ['catalog', 'catalog-sovereign', organization].includes(source)
}

/** Whether there can be an Environment to install a source's Blueprints into. */
export function mayInstall(me: Me, source: string): boolean {
  return me.sovereignAdmin || me.organizations.some((one) => mayUseSource(source, one.organization) && mayChangeSome(me, one.organization))
}

/**
 * Whose Applications of a source's Blueprints may be upgraded all at once: of the known
 * Organizations, and those administered; empty text stands for all.
 */
export function upgradeScopes(me: Me, source: string, known: readonly string[]): string[] {
  const all = new Set([...(me.sovereignAdmin ? known : []), ...me.organizations.map((one) => one.organization)])
  const some = [...all].filter((one) => mayUseSource(source, one) && mayAdminister(me, one)).sort()
  // What is an Organization's own is for nobody else.
  return me.sovereignAdmin && mayUseSource(source, '') ? ['', ...some] : some
}

/** Whether there can be Applications of a source's Blueprints to upgrade all at once. */
export function mayBeginUpgrade(me: Me, source: string): boolean {
  return me.sovereignAdmin || upgradeScopes(me, source, []).length > 0
}

/** Whether a fleet upgrade may be cancelled and resumed. */
export function maySteerUpgrade(me: Me, upgrade: Pick<UpgradeView, 'organization'>): boolean {
  return upgrade.organization ? mayAdminister(me, upgrade.organization) : me.sovereignAdmin
}

/** Whether pull requests may be approved: those who may change the Environment, and whom a policy names. */
export function mayApprove(me: Me, environment: string, policies: Iterable<PolicyView>): boolean {
  const names = (policy: PolicyView) => policy.rules.some((rule) => Array.isArray(rule.approvers) && rule.approvers.includes(me.username))
  return mayChange(me, environment) || [...policies].some((policy) => policy.environments.includes(environment) && names(policy))
}

/**
 * Why a pull request is not approved by the user: whoever made it does not. Nothing
 * where they may, as far as a view tells; the gateway looks at its last commit as well.
 */
export function approvalBlock(me: Me, pull: Pick<PullRequestView, 'author' | 'head'>): string | undefined {
  if (pull.author === me.username) return 'You opened it, so somebody else approves.'
  // Only they may push to it.
  if (pull.head.startsWith(`${me.username}/`)) return 'It comes from your branch, so somebody else approves.'
  return undefined
}

/** Who lifts what binds an Organization's own administrators is not made by them. */
export function mayGiveRole(me: Me, role: Role): boolean {
  return role !== 'security-officer' || me.sovereignAdmin
}

/**
 * Why an org-admin may not delete an Environment: made anew it would be bound by
 * nothing, so a policy with any rule is in the way. Nothing where none is.
 */
export function deletionBlock(me: Me, environment: string, binding: string[]): string | undefined {
  if (binding.length === 0 || mayLoosenPolicy(me, [environment])) return undefined
  return `The policy ${binding[0]} binds ${environment}, and deleting the Environment would lift it: that takes a sovereign-admin.`
}

function hasRole(me: Me, organization: string, ...roles: Role[]): boolean {
  return me.organizations.some((one) => one.organization === organization && roles.includes(one.role))
}

/** Whether a policy for these Environments may be set, as long as it asks for no less than before. */
export function maySetPolicy(me: Me, environments: string[]): boolean {
  return me.sovereignAdmin || environments.every((one) => hasRole(me, organizationOf(one), 'org-admin', 'security-officer'))
}

/** Whether it may ask for less, or go: not for whom it binds. */
export function mayLoosenPolicy(me: Me, environments: string[]): boolean {
  return me.sovereignAdmin || environments.every((one) => !mayChange(me, one) && hasRole(me, organizationOf(one), 'security-officer'))
}

/** Whether policies of any Organization may be set. */
export function maySetPolicies(me: Me): boolean {
  return me.sovereignAdmin || me.organizations.some((one) => one.role === 'security-officer' || one.role === 'org-admin')
}

export const ROLES = [
  { role: 'org-admin', title: 'Org admin', may: 'Everything in the Organization' },
  { role: 'org-developer', title: 'Org developer', may: 'Install and configure Applications' },
  { role: 'org-viewer', title: 'Org viewer', may: 'Read only' },
  { role: 'security-officer', title: 'Security officer', may: 'Policies, rotation, audit; only a sovereign-admin gives it' },
  { role: 'billing-admin', title: 'Billing admin', may: 'Plans and invoices' },
] as const

export function roleTitle(role: string): string {
  return ROLES.find((one) => one.role === role)?.title ?? role
}
