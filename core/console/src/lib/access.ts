/**
 * What the signed-in user may do, to offer only what would be granted. The
 * gateway decides; this only spares people useless buttons.
 */
import type { Me, Role } from '../api/types'

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
  { role: 'security-officer', title: 'Security officer', may: 'Policies, rotation, audit; a sovereign-admin gives it' },
  { role: 'billing-admin', title: 'Billing admin', may: 'Plans and invoices' },
] as const

export function roleTitle(role: string): string {
  return ROLES.find((one) => one.role === role)?.title ?? role
}
