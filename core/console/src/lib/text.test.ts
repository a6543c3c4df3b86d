import { describe, expect, it } from 'vitest'
import type { Me } from '../api/types'
import {
  deletionBlock, mayAdminister, mayApprove, mayChange, mayChangeSome, mayGiveRole, mayInstall, mayLoosenPolicy, mayPromote, maySetPolicies, maySetPolicy, organizationOf,
} from './access'
import { diffCounts, parseDiff } from './diff'
import { containersOf, LogLines, whySilent } from './logs'
import { headingLevels, parseMarkdown } from './markdown'
import { pageOf, phaseLook } from './phase'
import { ruleWords, withApprovalRule } from './policy'
import { ago, ServerClock, span } from './time'

describe('parseDiff', () => {
  it('tells files, hunks and lines apart, with line numbers', () => {
    const diff = 'diff --git a/x b/x\nindex 1234567..89abcde 100644\n--- a/x\n+++ b/x\n@@ -3,3 +3,3 @@ spec:\n same\n--- old\n+++ new\n same\n\\ No newline at end of file\n'
    const lines = parseDiff(diff)
    expect(lines.map((line) => line.kind)).toEqual(['file', 'file', 'file', 'file', 'hunk', 'same', 'removed', 'added', 'same', 'hunk'])
    // A removed line of two dashes is a line, not a file header.
    expect(lines[6]).toEqual({ kind: 'removed', text: '-- old', before: 4 })
    expect(lines[7]).toEqual({ kind: 'added', text: '++ new', after: 4 })
    expect(lines[8]).toEqual({ kind: 'same', text: 'same', before: 5, after: 5 })
    expect(diffCounts(lines)).toBe('+1 −1')
  })

  it('reads several files', () => {
    const diff = '--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n--- a/y\n+++ b/y\n@@ -0,0 +1,2 @@\n+c\n+d\n'
    expect(parseDiff(diff).map((line) => line.kind)).toEqual(['file', 'file', 'hunk', 'removed', 'added', 'file', 'file', 'hunk', 'added', 'added'])
  })

  it('reads a field-by-field diff without hunks', () => {
    expect(parseDiff('  spec:\n-   replicas: 1\n+   replicas: 2').map(({ kind, text }) => [kind, text])).toEqual([
      ['same', ' spec:'], ['removed', '   replicas: 1'], ['added', '   replicas: 2'],
    ])
  })
})

describe('parseMarkdown', () => {
  it('knows headings, lists, code and paragraphs', () => {
    expect(parseMarkdown('# T\n\none\ntwo\n\n- a\n  more\n- b\n\n1. x\n\n```yaml\na: <b>\n```').map((block) => block.kind)).toEqual([
      'heading', 'paragraph', 'list', 'list', 'code',
    ])
  })

  it('keeps markup in the text as text, and links to other schemes out', () => {
    expect(parseMarkdown('<script>x</script> [a](javascript:alert(1)) [b](https://x.example/)')).toEqual([
      {
        kind: 'paragraph',
        inlines: [
          { kind: 'text', text: '<script>x</script> ' },
          { kind: 'text', text: 'a' },
          { kind: 'text', text: ') ' },
          { kind: 'link', text: 'b', href: 'https://x.example/' },
        ],
      },
    ])
  })

  it('leaves no gap between levels of headings', () => {
    expect(headingLevels(parseMarkdown('## a\n\n#### b\n\ntext\n\n## c\n\n# d'), 2)).toEqual([2, 3, undefined, 2, 2])
  })

  it.each(['1.5 GB of memory', '#hash', '-', '```', '- ', '* *', '\n\n'])('ends on %j', (text) => {
    expect(() => parseMarkdown(text)).not.toThrow()
  })
})

describe('times', () => {
  const now = Date.parse('2026-01-02T00:00:00Z')
  it.each([
    ['2026-01-02T00:00:05Z', 'just now'],
    ['2026-01-01T23:59:57.100Z', '2 s ago'],
    ['2026-01-01T23:58:00Z', '2 min ago'],
    ['2026-01-01T20:00:00Z', '4 h ago'],
    ['2026-01-01T00:00:00Z', '1 day ago'],
    ['2025-12-29T00:00:00Z', '4 days ago'],
    ['nonsense', 'at an unknown time'],
  ])('%s is %s', (at, words) => expect(ago(at, now)).toBe(words))

  it('spans', () => expect(span('2026-01-01T23:58:00Z', now)).toBe('2 min'))

  it('follows the clock of the Sovereign where it differs', () => {
    const clock = new ServerClock()
    clock.note(now + 900, now)
    expect(clock.at(now)).toBe(now)
    clock.note(now - 60_000, now)
    expect(clock.at(now)).toBe(now - 60_000)
  })
})

it('shows phases by word and sign', () => {
  expect(phaseLook('PendingApproval')).toEqual({ word: 'Pending approval', sign: '◔', tone: 'warn' })
  expect(phaseLook('Brandnew')).toEqual({ word: 'Brandnew', sign: '·', tone: 'idle' })
})

it.each([
  ['Failed', undefined, false], ['Installing', undefined, false], ['Deleting', undefined, false], ['Running', undefined, true], ['Updating', undefined, true],
  ['Degraded', undefined, true], ['Running', '1.0.0', true], ['Paused', '1.0.0', true], ['Failed', '1.0.0', true],
])('offers to open one that is %s with %s deployed: %s', (phase, deployedVersion, isOffered) => {
  expect(pageOf({ url: 'http://x.example/', deployedVersion, health: { phase } })).toBe(isOffered ? 'http://x.example/' : undefined)
  expect(pageOf({ deployedVersion, health: { phase } })).toBeUndefined()
})

describe('logs', () => {
  it('are empty for a reason that the health knows, unless all is well', () => {
    const why = (phase: string, reason: string, message = '') => whySilent({ phase, reason, message, observedAt: '', since: '' })
    expect(why('Failed', 'CrashLoop')).toContain('waits to be started again')
    expect(why('Installing', 'Progressing', 'container web: CrashLoopBackOff: back-off 10s')).toContain('waits to be started again')
    expect(why('Failed', 'ImageNotPulled')).toContain('cannot be pulled')
    expect(why('Failed', 'InstallFailed')).toContain('failed before')
    expect(why('Degraded', 'UpgradeFailed')).toContain('does not run as it should')
    for (const [phase, reason] of [['Running', 'Running'], ['Installing', 'Progressing'], ['Paused', 'Paused'], ['Deleting', 'Deleting']] as const) {
      expect(why(phase, reason), phase).toBeUndefined()
    }
  })

  it('keeps whole lines across pieces', () => {
    const log = new LogLines()
    log.add('a\nb')
    expect(log.lines).toEqual(['a'])
    log.add('c\n')
    log.add('end')
    log.end()
    expect(log.lines).toEqual(['a', 'bc', 'end'])
  })

  it('is bounded', () => {
    const log = new LogLines()
    log.add('x\n'.repeat(6000))
    expect(log.lines.length).toBe(5000)
  })

  it('finds containers only where every line names one', () => {
    expect(containersOf(['blog-1/web hello', 'blog-1/proxy there'])).toEqual(['proxy', 'web'])
    expect(containersOf(['blog-1/web hello', 'GET / HTTP/1.1'])).toEqual([])
  })
})

describe('access', () => {
  const me = (more: Partial<Me>): Me => ({ username: 'u', sovereignAdmin: false, organizations: [], ...more })
  const developer = me({ organizations: [{ organization: 'a-b', role: 'org-developer', environments: ['a-b-dev'] }] })
  it('follows roles', () => {
    expect(organizationOf('a-b-dev')).toBe('a-b')
    expect(mayChange(developer, 'a-b-dev')).toBe(true)
    expect(mayChange(developer, 'a-b-prod')).toBe(false)
    expect(mayChange(developer, 'a-dev')).toBe(false)
    expect(mayAdminister(developer, 'a-b')).toBe(false)
    expect(mayAdminister(me({ sovereignAdmin: true }), 'x')).toBe(true)
    expect(mayChange(me({ organizations: [{ organization: 'x', role: 'org-viewer' }] }), 'x-dev')).toBe(false)
    expect(maySetPolicies(me({ organizations: [{ organization: 'x', role: 'security-officer' }] }))).toBe(true)
    expect(maySetPolicies(developer)).toBe(false)
  })

  it('lets nobody loosen a policy that binds them', () => {
    const holding = (...roles: Me['organizations'][number]['role'][]) => me({ organizations: roles.map((role) => ({ organization: 'x', role })) })
    for (const [who, maySet, mayLoosen] of [
      [me({ sovereignAdmin: true }), true, true],
      [holding('security-officer'), true, true],
      [holding('org-admin'), true, false],
      [holding('security-officer', 'org-developer'), true, false],
      [holding('org-developer'), false, false],
    ] as const) {
      expect([maySetPolicy(who, ['x-prod']), mayLoosenPolicy(who, ['x-prod'])]).toEqual([maySet, mayLoosen])
    }
    // One of the Environments is another Organization's.
    expect(maySetPolicy(holding('org-admin'), ['x-prod', 'y-prod'])).toBe(false)
    expect(mayLoosenPolicy(holding('security-officer'), ['x-prod', 'y-prod'])).toBe(false)
    // Nor does whom it binds get round it by deleting what it binds, nor by appointing who lifts it.
    expect(deletionBlock(holding('org-admin'), 'x-prod', ['two-eyes'])).toContain('The policy two-eyes binds x-prod')
    expect(deletionBlock(holding('org-admin'), 'x-prod', [])).toBeUndefined()
    expect(deletionBlock(me({ sovereignAdmin: true }), 'x-prod', ['two-eyes'])).toBeUndefined()
    expect([mayGiveRole(holding('org-admin'), 'security-officer'), mayGiveRole(holding('org-admin'), 'org-admin')]).toEqual([false, true])
    expect(mayGiveRole(me({ sovereignAdmin: true }), 'security-officer')).toBe(true)
  })

  it('lets promote whoever may change either end', () => {
    for (const [from, to, may] of [
      ['a-b-dev', 'a-b-prod', true],
      ['a-b-prod', 'a-b-dev', true],
      ['a-b-prod', 'a-b-stg', false],
      ['a-b-dev', 'a-b-dev', false],
      ['a-b-dev', 'x-prod', false],
    ] as const) {
      expect(mayPromote(developer, from, to), `${from} to ${to}`).toBe(may)
    }
    expect([mayChangeSome(developer, 'a-b'), mayChangeSome(developer, 'x')]).toEqual([true, false])
  })

  it('lets approve whoever may change it, and whom a policy names', () => {
    const eve = me({ username: 'eve', organizations: [{ organization: 'a-b', role: 'org-viewer' }] })
    const rule = { kind: 'pr-required', approvers: ['eve'] }
    expect(mayApprove(developer, 'a-b-dev', [])).toBe(true)
    expect(mayApprove(eve, 'a-b-dev', [])).toBe(false)
    expect(mayApprove(eve, 'a-b-dev', [{ name: 'p', environments: ['a-b-dev'], rules: [rule] }])).toBe(true)
    expect(mayApprove(eve, 'a-b-dev', [{ name: 'p', environments: ['a-b-prod'], rules: [rule] }])).toBe(false)
  })

  it('offers to install what the Blueprint’s source allows', () => {
    expect([mayInstall(developer, 'catalog'), mayInstall(developer, 'a-b'), mayInstall(developer, 'x')]).toEqual([true, true, false])
    expect(mayInstall(me({ organizations: [{ organization: 'x', role: 'org-viewer' }] }), 'catalog')).toBe(false)
  })
})

it('keeps a policy’s other rules', () => {
  const soak = { kind: 'soak', duration: '24h' }
  expect(withApprovalRule([soak, { kind: 'pr-required', minApprovals: 3 }], { minApprovals: 1, approvers: [] })).toEqual([
    { kind: 'pr-required', minApprovals: 1 }, soak,
  ])
  expect(ruleWords({ kind: 'pr-required', minApprovals: 2, approvers: ['eve', 'bob'] })).toBe('pull request with 2 approvals by eve or bob')
  expect(ruleWords(soak)).toBe('soak duration 24h')
})
