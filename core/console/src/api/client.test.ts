import { expect, test } from 'vitest'
import { isAway } from './client'

test('a Sovereign that is away is told from one that does without something', () => {
  const problem = (type: string, status: number) => ({ type, status, title: '', detail: '' })
  expect(isAway(undefined)).toBe(false)
  expect(isAway(problem('unreachable', 0))).toBe(true)
  expect(isAway(problem('unavailable', 503))).toBe(true)
  expect(isAway(problem('provisioning-off', 503))).toBe(false)
  expect(isAway(problem('not-found', 404))).toBe(false)
})
