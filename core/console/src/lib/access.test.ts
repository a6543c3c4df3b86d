import { expect, test } from 'vitest'
import type { Me } from '../api/types'
import { approvalBlock } from './access'

const ada: Me = { username: 'ada', sovereignAdmin: false, organizations: [] }

test.each([
  ['ada', 'ada/wiki', 'You opened it'],
  ['ada', 'catalyst/change-wiki-1', 'You opened it'],
  ['bob', 'ada/wiki', 'It comes from your branch'],
  ['bob', 'adam/wiki', undefined],
  ['bob', 'ada', undefined],
  ['bob', 'catalyst/change-wiki-1', undefined],
])('a pull request of %s from %s is approved by others than who made it', (author, head, why) => {
  const block = approvalBlock(ada, { author, head })
  expect(why === undefined ? block : block?.startsWith(why)).toBe(why === undefined ? undefined : true)
})
