import { expect, it } from 'vitest'
import { classOf, labelOf, nameOf } from './table'

it('calls a row by its first cell, unless another column is its name', () => {
  expect(nameOf([{ title: 'User' }, { title: 'Role' }])).toBe(0)
  expect(nameOf([{ title: 'Change' }, { title: 'Application', isName: true }])).toBe(1)
})

it('has cells say what they are where a row is a card, save those that do by themselves', () => {
  expect(labelOf({ title: 'Role' })).toBe('Role')
  expect(labelOf({ title: 'What is wrong', label: 'Wrong' })).toBe('Wrong')
  expect(labelOf({ title: 'Change', label: '' })).toBeUndefined()
  expect(labelOf({ title: 'Actions', isAction: true })).toBeUndefined()
})

it('puts what a row offers at its end', () => {
  expect(classOf({ title: 'Role' })).toBeUndefined()
  expect(classOf({ title: 'Says', class: 'small' })).toBe('small')
  expect(classOf({ title: 'Actions', isAction: true, class: 'nowrap' })).toBe('end nowrap')
})
