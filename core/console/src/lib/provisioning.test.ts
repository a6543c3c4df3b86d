import { expect, test } from 'vitest'
import { destroyOf, mayBeRemoved, mayWantToken, phaseOf, resumeOf } from './provisioning'

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

test('another token is offered after a job that did not end well', () => {
  const states = ['failed', 'interrupted', 'cancelled', 'planned', 'provisioned'] as const
  expect(states.filter((state) => mayWantToken({ state }))).toEqual(['failed', 'interrupted', 'cancelled'])
})

test('a Sovereign shows what its job does, how it ended, or that it cannot be read', () => {
  expect(phaseOf({ state: 'running', task: 'destroy' })).toBe('Destroying')
  expect(phaseOf({ state: 'failed', task: 'destroy' })).toBe('Failed')
  expect(phaseOf({ state: 'unreadable' })).toBe('Unreadable')
})
