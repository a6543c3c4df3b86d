import { expect, test } from 'vitest'
import { destroyOf, mayWantToken, phaseOf } from './provisioning'

test('a destroy sends another token only where one was given', () => {
  expect(destroyOf('')).toEqual({})
  expect(destroyOf('  ')).toEqual({})
  expect(destroyOf(' another\n')).toEqual({ credentials: { hetznerToken: 'another' } })
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
