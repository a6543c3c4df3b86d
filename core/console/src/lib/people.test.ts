import { expect, it } from 'vitest'
import { emailFault, faultsOf, madeBy, organizationNameFault, usernameFault } from './people'

it.each([
  // As control/commands has it, with what is told of each.
  ['ada', undefined],
  [' Ada.Lovelace ', undefined],
  ['a1_b-c', undefined],
  ['x'.repeat(40), undefined],
  ['x'.repeat(41), 'At most 40'],
  ['', 'needed'],
  ['  ', 'needed'],
  ['a b', 'Letters, digits'],
  ['-a', 'Letters, digits'],
  ['a.', 'Letters, digits'],
  ['größe', 'Letters, digits'],
  ['a/../b', 'Letters, digits'],
  ['Flux-x', 'own'],
  ['Catalyst', 'own'],
])('user name %j', (name, words) => {
  if (words === undefined) expect(usernameFault(name)).toBeUndefined()
  else expect(usernameFault(name)).toContain(words)
})

it.each([
  ['', true], [' a@b ', true], ['a@b.example', true],
  ['notmail', false], ['a@', false], ['@b', false], ['a@b@c', false], ['a b@c', false], [`a@${'b'.repeat(255)}`, false],
])('mail address %j', (address, fine) => expect(emailFault(address) === undefined).toBe(fine))

it.each([
  ['acme', true], ['a-1', true], ['a'.repeat(32), true],
  ['', false], ['ab', false], ['Acme', false], ['1ab', false], ['ab-', false], ['a'.repeat(33), false], ['a_b', false],
])('name of an Organization %j', (name, fine) => expect(organizationNameFault(name) === undefined).toBe(fine))

it('keeps the faults that there are', () => {
  expect(faultsOf({ username: usernameFault(''), email: emailFault('') })).toEqual({ username: 'This is needed.' })
})

it.each([
  [{ author: 'Ada' }, 'Ada'],
  [{ author: 'Ada', pushedBy: null }, 'Ada'],
  [{ author: 'Ada', pushedBy: 'bob' }, 'Ada, pushed by bob'],
])('says who made a commit: %j', (commit, words) => expect(madeBy(commit)).toBe(words))
