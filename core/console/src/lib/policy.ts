/** EnvironmentPolicy rules, as docs/spec/environment-policy.md has them. */

export type Rule = Record<string, unknown>
export type ApprovalRule = { minApprovals?: number; approvers?: string[] }

export function approvalRule(rules: Rule[]): ApprovalRule | undefined {
  return rules.find((rule) => rule.kind === 'pr-required') as ApprovalRule | undefined
}

/** Sets the pr-required rule; all others stay as they are. */
export function withApprovalRule(rules: Rule[], approval: Required<ApprovalRule>): Rule[] {
  const rule: Rule = {
    kind: 'pr-required',
    minApprovals: approval.minApprovals,
    ...(approval.approvers.length > 0 ? { approvers: approval.approvers } : {}),
  }
  return [rule, ...rules.filter((one) => one.kind !== 'pr-required')]
}

/** A rule in words. */
export function ruleWords(rule: Rule): string {
  if (rule.kind === 'pr-required') {
    const count = Number(rule.minApprovals ?? 1)
    const by = Array.isArray(rule.approvers) && rule.approvers.length > 0 ? ` by ${rule.approvers.join(' or ')}` : ''
    return `pull request with ${count} ${count === 1 ? 'approval' : 'approvals'}${by}`
  }
  const rest = Object.entries(rule).filter(([name]) => name !== 'kind')
  return `${String(rule.kind)} ${rest.map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`).join(', ')}`.trim()
}
