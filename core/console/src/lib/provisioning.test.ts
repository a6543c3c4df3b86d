import { expect, test } from 'vitest'
import { destroyOf, lineOf, lossesOf, mayBeRemoved, mayWantToken, nextOf, phaseOf, resumeOf, resumeTitle } from './provisioning'

test('a destroy sends another token only where one was given', () => {
  expect(destroyOf('', false)).toEqual({})
  expect(destroyOf('  ', false)).toEqual({})
  expect(destroyOf(' another\n', false)).toEqual({ credentials: { hetznerToken: 'another' } })
})

test('that all was removed by hand is said only where somebody said so, and may be', () => {
  expect([resumeOf(false), resumeOf(true)]).toEqual([{}, { removedByHand: true }])
  expect(destroyOf('', true)).toEqual({ removedByHand: true })
  expect(destroyOf('another', true)).toEqual({ removedByHand: true, credentials: { hetznerToken: 'another' } })
  // The words of `control/provisioner/src/service/words.rs`.
  const failure = 'if all of it was removed by hand, ask again with removedByHand as true'
  expect(mayBeRemoved({ state: 'failed', failure })).toBe(true)
  expect(mayBeRemoved({ state: 'running', failure })).toBe(false)
  expect(mayBeRemoved({ state: 'failed', failure: 'the token may only read' })).toBe(false)
  expect(mayBeRemoved({ state: 'failed' })).toBe(false)
})

test('that what is planned shall be done is said where the plan is shown, and nowhere else', () => {
  const planned = [{ address: 'hcloud_network.sovereign', action: 'create' }]
  expect(resumeOf(false, { state: 'planned' })).toEqual({ create: true })
  expect(resumeOf(false, { state: 'planned', planDigest: 'd' })).toEqual({ create: true, plan: 'd' })
  expect(resumeOf(false, { state: 'planned', planDigest: 'd' }, 'acme.example')).toEqual({ create: true, plan: 'd', allowDestroy: 'acme.example' })
  expect(resumeOf(false, { state: 'failed', planDigest: 'd' })).toEqual({})
  for (const state of ['cancelled', 'failed', 'interrupted', 'running'] as const) expect(resumeOf(false, { state })).toEqual({})
  expect(resumeTitle({ state: 'planned', task: 'plan', planned })).toBe('Carry out the plan')
  expect(resumeTitle({ state: 'planned', task: 'plan', planned: [] })).toBe('Take the steps that are left')
  expect(resumeTitle({ state: 'cancelled', task: 'plan', planned: [] })).toBe('Resume planning')
  expect(resumeTitle({ state: 'cancelled', task: 'provision', planned: [] })).toBe('Resume')
})

test('what to do with a plan is said in words of the page, and what it would lose is told', () => {
  const create = { address: 'hcloud_server.worker[0]', action: 'create' }
  const lose = { address: 'hcloud_server.worker[0]', action: 'delete', loses: true }
  const next = 'Look at it: resume it with `create`.'
  const planned = (changes: typeof create[], without?: string) => nextOf({ state: 'planned', planned: changes, next, without })
  expect(planned([])).toBe('Nothing would change. Take the steps that are left.')
  expect(planned([create], 'It is without catalyst.')).toBe('It is without catalyst. Nothing of the plan is done yet. Look at it, and carry it out.')
  expect(planned([create, lose])).toContain('only where that is meant')
  expect(nextOf({ state: 'failed', planned: [lose], next })).toBe(next)
  expect(lossesOf({ state: 'planned', planned: [create, lose] })).toEqual(['delete hcloud_server.worker[0]'])
  expect(lossesOf({ state: 'provisioned', planned: [lose] })).toEqual([])
})

test('one resource is one', () => {
  expect(lineOf({ event: 'planned', changes: [{}] })).toBe('    one resource would change')
  expect(lineOf({ event: 'restored', resources: 1 })).toBe('    the state is there again, with one resource')
})

test('another token is offered after a job that did not end well', () => {
  const states = ['failed', 'interrupted', 'cancelled', 'planned', 'provisioned'] as const
  expect(states.filter((state) => mayWantToken({ state }))).toEqual(['failed', 'interrupted', 'cancelled'])
})

test('a Sovereign shows what its job does, how it ended, or that it cannot be read', () => {
  expect(phaseOf({ state: 'running', task: 'destroy' })).toBe('Destroying')
  expect(phaseOf({ state: 'failed', task: 'destroy' })).toBe('Failed')
  expect(phaseOf({ state: 'unreadable' })).toBe('Unreadable')
})
