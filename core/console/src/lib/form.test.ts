import { describe, expect, it } from 'vitest'
import { load, dump } from 'js-yaml'
import type { FormField } from '../api/types'
import { configPatch, faultsBeside, initialValues, installConfig, mergePatch, nameFault, placeFaults, type Yaml } from './form'

const yaml: Yaml = { parse: (text) => load(text), print: (value) => dump(value).trimEnd() }

function field(pointer: string, kind: FormField['kind'], more: Partial<FormField> = {}): FormField {
  return { pointer, title: pointer, kind, required: false, secret: false, perEnvironment: false, ...more }
}

describe('installConfig', () => {
  it.each<[string, FormField, string | boolean, unknown]>([
    ['text', field('/a', 'text'), ' hello ', { a: 'hello' }],
    ['a nested pointer', field('/db/name', 'text'), 'x', { db: { name: 'x' } }],
    ['an escaped pointer', field('/a~1b/c~0d', 'text'), 'x', { 'a/b': { 'c~d': 'x' } }],
    ['a password with blanks', field('/a', 'password', { secret: true }), ' s ', { a: ' s ' }],
    ['a whole number', field('/a', 'integer'), '42', { a: 42 }],
    ['a number', field('/a', 'number'), '0.5', { a: 0.5 }],
    ['a toggle that is on', field('/a', 'toggle'), true, { a: true }],
    ['a toggle that is off', field('/a', 'toggle'), false, {}],
    ['a needed toggle that is off', field('/a', 'toggle', { required: true }), false, { a: false }],
    ['a toggle taken off its default', field('/a', 'toggle', { default: true }), false, { a: false }],
    ['a choice that is no text', field('/a', 'choice', { options: ['x', 3] }), '1', { a: 3 }],
    ['a text list', field('/a', 'text-list'), 'one\n\n two \n', { a: ['one', 'two'] }],
    ['YAML', field('/a', 'yaml'), 'b:\n- 1\n- x: true', { a: { b: [1, { x: true }] } }],
    ['nothing', field('/a', 'text'), '', {}],
    ['the default', field('/a', 'integer', { default: 1 }), '1', {}],
    ['a domain', field('/a', 'domain'), 'acme.example', { a: 'acme.example' }],
    ['a member called __proto__', field('/__proto__/x', 'text'), 'y', JSON.parse('{"__proto__":{"x":"y"}}')],
  ])('takes %s', (_, one, held, expected) => {
    expect(installConfig([one], { [one.pointer]: held }, yaml)).toEqual({ config: expected, faults: {} })
  })

  it.each<[string, FormField, string, RegExp]>([
    ['a needed field left empty', field('/a', 'text', { required: true }), '', /needed/],
    ['words for a number', field('/a', 'number'), 'many', /not a number/],
    ['a fraction for a whole number', field('/a', 'integer'), '1.5', /whole number/],
    ['too little', field('/a', 'integer', { minimum: 2 }), '1', /At least 2/],
    ['too much', field('/a', 'integer', { maximum: 2 }), '3', /At most 2/],
    ['what the pattern refuses', field('/a', 'text', { pattern: '^[a-z]+$' }), 'A1', /Must match/],
    ['broken YAML', field('/a', 'yaml'), 'a: [1', /not YAML/],
  ])('refuses %s', (_, one, held, message) => {
    const { config, faults } = installConfig([one], { [one.pointer]: held }, yaml)
    expect(config).toEqual({})
    expect(faults[one.pointer]).toMatch(message)
  })

  it('needs nothing typed where there is a default', () => {
    expect(installConfig([field('/a', 'text', { required: true, default: 'x' })], { '/a': '' }, yaml).faults).toEqual({})
  })
})

describe('initialValues', () => {
  it('shows what is committed, else the default, and never a secret', () => {
    const fields = [
      field('/a', 'text', { default: 'd' }),
      field('/b', 'text', { default: 'd' }),
      field('/c', 'password', { secret: true }),
      field('/d', 'choice', { options: [1, 2] }),
      field('/e', 'text-list'),
      field('/f', 'yaml'),
      field('/g', 'toggle', { default: true }),
    ]
    const config = { a: 'committed', c: { secretRef: 'c' }, d: 2, e: ['x', 'y'], f: { k: [1] } }
    expect(initialValues(fields, config, yaml)).toEqual({
      '/a': 'committed', '/b': 'd', '/c': '', '/d': '1', '/e': 'x\ny', '/f': 'k:\n  - 1', '/g': true,
    })
  })
})

describe('configPatch', () => {
  const fields = [
    field('/title', 'text', { required: true }),
    field('/replicas', 'integer', { default: 1 }),
    field('/key', 'password', { secret: true, required: true }),
    field('/extra', 'yaml'),
    field('/on', 'toggle', { default: true }),
  ]
  const current = { title: 'old', replicas: 2, key: { secretRef: 'key' }, extra: { a: 1, b: { c: 2 } } }
  const unchanged = initialValues(fields, current, yaml)

  it('says nothing when nothing was touched', () => {
    expect(configPatch(fields, current, unchanged, yaml)).toEqual({ patch: {}, faults: {}, isEmpty: true })
  })

  it.each<[string, Record<string, string | boolean>, unknown]>([
    ['carries what changed only', { '/title': 'new' }, { title: 'new' }],
    ['takes an emptied field out', { '/replicas': '' }, { replicas: null }],
    ['sends a typed secret', { '/key': 'hunter2' }, { key: 'hunter2' }],
    ['turns a default off', { '/on': false }, { on: false }],
    ['merges inside objects', { '/extra': 'a: 1\nb:\n  d: 3' }, { extra: { b: { c: null, d: 3 } } }],
  ])('%s', (_, typed, expected) => {
    expect(configPatch(fields, current, { ...unchanged, ...typed }, yaml)).toMatchObject({ patch: expected, faults: {} })
  })

  it('refuses to empty what is needed', () => {
    expect(configPatch(fields, current, { ...unchanged, '/title': '' }, yaml).faults).toEqual({ '/title': 'This is needed.' })
  })
})

it('makes merge patches that give the new value', () => {
  expect(mergePatch({ a: 1, b: 2 }, { b: 3, c: 4 })).toEqual({ a: null, b: 3, c: 4 })
  expect(mergePatch([1], { a: 1 })).toEqual({ a: 1 })
})

describe('placeFaults', () => {
  const names = ['/name', '/config/db', '/config/db/name']
  it.each([
    ['/name', '/name'],
    ['/config/db/name', '/config/db/name'],
    ['/config/db/size/0', '/config/db'],
    ['/spec/config/db/name', '/config/db/name'],
    ['/install/name', '/name'],
  ])('puts %s beside %s', (pointer, name) => {
    expect(placeFaults([{ pointer, message: 'no' }], names)).toEqual({ placed: { [name]: 'no' }, others: [] })
  })

  it('keeps the rest for the summary and joins two of one field', () => {
    const faults = [{ pointer: '/name', message: 'One.' }, { pointer: '/name', message: 'Two.' }, { pointer: '/config/dbx', message: 'Elsewhere.' }, { message: 'Whole.' }]
    expect(placeFaults(faults, names)).toEqual({ placed: { '/name': 'One. Two.' }, others: [faults[2], faults[3]] })
  })
})

it('tells faults that are new from those that are known already', () => {
  const faults = ['/name', '/config/db', '/config/db/name', '/config/dbx', '/spec/config/title', ''].map((pointer) => ({ pointer, message: 'no' }))
  expect(faultsBeside(faults, ['/config/db/name']).map((fault) => fault.pointer)).toEqual(['/name', '/config/dbx', '/spec/config/title', ''])
  expect(faultsBeside(faults, ['/name', '/config/db', '/config/title']).map((fault) => fault.pointer)).toEqual(['/config/dbx', ''])
})

describe('nameFault', () => {
  // Those of core/model/names/tests/names.rs.
  it.each(['blog', 'marketing-site', 'db', 'production-line', 'a'.repeat(40)])('lets %s be', (name) => {
    expect(nameFault(name, ['dev', 'prod'])).toBeUndefined()
  })
  it.each([
    ['', /needed/], ['b', /2 to 40/], ['a'.repeat(41), /2 to 40/], ['Guests!', /start with a lower-case/], ['guests!', /“!” is not allowed/], ['-x', /start with/],
    ['blog-', /end with/], ['default', /reserved/], ['kube-proxy', /reserved/], ['flux-system', /reserved/], ['dev-blog', /“dev-”/], ['prod-', /end with/],
  ])('refuses “%s”', (name, why) => {
    expect(nameFault(name, ['dev', 'prod'])).toMatch(why)
  })
})
