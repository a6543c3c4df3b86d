import { describe, expect, it, test } from 'vitest'
import type { Me, UpgradeView } from '../api/types'
import { mayBeginUpgrade, maySteerUpgrade, upgradeScopes } from './access'
import { blankForm, formFaults, inOrder, objectWords, progressOf, requestOf, sizeOf } from './upgrade'

describe('what is asked for', () => {
  const form = (more = {}) => ({ ...blankForm('2.0.0', 'acme'), ...more })
  it.each([
    [form(), { organization: 'acme' }],
    [form({ organization: '' }), {}],
    // In the order of the stages, whatever was ticked first.
    [form({ stages: ['prod', 'dev'] }), { organization: 'acme', waves: ['dev', 'prod'] }],
    [form({ batch: ' 3 ', minutes: '5' }), { organization: 'acme', batch: 3, timeoutSeconds: 300 }],
  ])('%j', (held, more) => {
    expect(formFaults(held)).toEqual({})
    expect(requestOf('catalog', 'bp-wiki', held)).toEqual({ source: 'catalog', blueprint: 'bp-wiki', to: '2.0.0', ...more })
  })

  it.each([
    [{ stages: [] }, 'stages'], [{ batch: '0' }, 'batch'], [{ batch: '501' }, 'batch'], [{ batch: '1.5' }, 'batch'], [{ batch: 'many' }, 'batch'],
    [{ minutes: '1441' }, 'minutes'], [{ minutes: '-1' }, 'minutes'],
  ])('%j is refused before it is sent', (more, field) => {
    expect(Object.keys(formFaults(form(more)))).toEqual([field])
  })
})

test('a plan is told in numbers', () => {
  expect(objectWords({ creates: 1, updates: 2, deletes: 0 })).toBe('1 come, 2 change')
  expect(objectWords({ creates: 0, updates: 0, deletes: 0 })).toBe('none changes')
  const applications = [{ environment: 'acme-dev', application: 'wiki', from: '1.0.0', creates: 0, updates: 1, deletes: 0 }]
  expect(sizeOf({ waves: [{ stage: 'dev', applications }, { stage: 'prod', applications: [...applications, ...applications] }] })).toBe(3)
})

const view = (name: string, phase: string, ...states: string[]): UpgradeView => ({
  name, phase, source: 'catalog', blueprint: 'bp-wiki', to: '2.0.0', requestedBy: 'ada', message: '', observedAt: '',
  waves: [{ stage: 'dev', applications: states.map((state) => ({ environment: 'acme-dev', application: 'wiki', from: '1.0.0', state })) }],
})

test('one is as far as its Applications are through', () => {
  expect(progressOf(view('a', 'Progressing', 'Done', 'Left', 'Failed', 'RollingOut', 'Proposed', 'Waiting'))).toEqual({ done: 2, total: 6 })
})

test('what waits for somebody stands first, and what is over last', () => {
  const all = [view('d', 'Completed'), view('c', 'Progressing'), view('e', 'Cancelled'), view('a', 'Progressing'), view('z', 'Stopped')]
  expect(inOrder(all).map((one) => one.name)).toEqual(['z', 'a', 'c', 'd', 'e'])
})

test('whoever administers an Organization upgrades its Applications, and a sovereign-admin those of all', () => {
  const me = (more: Partial<Me>): Me => ({ username: 'u', sovereignAdmin: false, organizations: [], ...more })
  const admin = me({ organizations: [{ organization: 'acme', role: 'org-admin' }, { organization: 'globex', role: 'org-developer' }] })
  const sovereign = me({ sovereignAdmin: true })
  for (const [who, source, known, may, scopes] of [
    [admin, 'catalog', [], true, ['acme']],
    [admin, 'acme', [], true, ['acme']],
    [admin, 'globex', [], false, []],
    [me({ organizations: [{ organization: 'acme', role: 'org-developer' }] }), 'catalog', ['acme'], false, []],
    [sovereign, 'catalog', ['globex', 'acme'], true, ['', 'acme', 'globex']],
    [sovereign, 'acme', ['globex', 'acme'], true, ['acme']],
  ] as const) {
    expect([mayBeginUpgrade(who, source), upgradeScopes(who, source, known)], `${source} of ${known.join()}`).toEqual([may, scopes])
  }
  expect([maySteerUpgrade(admin, { organization: 'acme' }), maySteerUpgrade(admin, { organization: 'globex' }), maySteerUpgrade(admin, {})]).toEqual([true, false, false])
  expect(maySteerUpgrade(sovereign, {})).toBe(true)
})
