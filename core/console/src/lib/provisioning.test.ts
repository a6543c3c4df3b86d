import { expect, test } from 'vitest'
import { destroyOf, mayWantToken } from './provisioning'

test('a destroy sends another token only where one was given', () => {
  expect(destroyOf('')).toEqual({})
  expect(destroyOf('  ')).toEqual({})
  expect(destroyOf(' another\n')).toEqual({ credentials: { hetznerToken: 'another' } })
})

test('another token is offered after a job that did not end well', () => {
  const states = ['failed', 'interrupted', 'cancelled', 'planned', 'provisioned'] as const
  expect(states.filter((state) => mayWantToken({ state }))).toEqual(['failed', 'interrupted', 'cancelled'])
})
