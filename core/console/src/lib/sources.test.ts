import { expect, it } from 'vitest'
import type { BlueprintSourceView } from '../api/types'
import { news, placeOf, withdrawnOf } from './sources'

const problem = { file: 'bp-wiki/blueprint.yaml', rule: 'shape', message: 'No.', fix: 'Yes.' }
const acme: BlueprintSourceView = {
  source: 'acme',
  repository: 'http://127.0.0.1:8080/git/acme/shared-blueprints.git',
  revision: 'c1',
  blueprints: [
    { name: 'bp-chat' },
    { name: 'bp-wiki', version: '1.10.0', yanked: { '1.10.0': 'it loses pages', '1.2.0': 'it is slow' } },
  ],
  problems: [problem],
  refused: [],
  health: { phase: 'Running', reason: 'Published', message: '', observedAt: '2026-01-01T00:00:00Z', since: '2026-01-01T00:00:00Z' },
}

it('says where a problem is', () => {
  expect(placeOf(problem)).toBe('bp-wiki/blueprint.yaml')
  expect(placeOf({ ...problem, line: 3 })).toBe('bp-wiki/blueprint.yaml:3')
})

it('lists what was withdrawn, versions as numbers', () => {
  expect(withdrawnOf(acme)).toEqual([
    { name: 'bp-wiki', version: '1.2.0', reason: 'it is slow' },
    { name: 'bp-wiki', version: '1.10.0', reason: 'it loses pages' },
  ])
})

it('tells of changes alone, and of the greatest', () => {
  expect(news(acme, acme)).toBeUndefined()
  const read = { ...acme, revision: 'c2' }
  expect(news(acme, read)).toBe('The source acme was read anew.')
  const failed = { ...read, health: { ...acme.health, phase: 'Failed' } }
  expect(news(acme, failed)).toBe('The source acme is now failed.')
  const refused = { ...read, refused: [{ name: 'bp-x', version: '1.0.0', reason: 'it is not signed', fix: 'sign it' }] }
  expect(news(acme, refused)).toBe('In the registry, more of acme is not trusted.')
  expect(news(refused, read)).toBeUndefined()
})
