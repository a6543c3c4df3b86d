/**
 * The config form: what its controls hold, and the config that comes of it.
 *
 * Controls hold text (or a boolean for a toggle). What must stay true: what a
 * user leaves alone is not sent, so that a later version's defaults still
 * count, and a secret is never filled in from what was read.
 */
import type { Fault, FormField } from '../api/types'
import { getAt, isSame, setAt } from './pointer'

/** What the controls hold, by field pointer. */
export type FormValues = Record<string, string | boolean>

/** Why a field cannot be taken as it is, by field pointer. */
export type FormFaults = Record<string, string>

/** Reads and writes YAML; given from outside, because its code is loaded late. */
export type Yaml = { parse: (text: string) => unknown; print: (value: unknown) => string }

/** What the controls show at first: the current config, else the defaults. */
export function initialValues(fields: FormField[], current: unknown, yaml: Yaml): FormValues {
  const values: FormValues = {}
  for (const field of fields) {
    const committed = current === undefined ? undefined : getAt(current, field.pointer)
    values[field.pointer] = show(field, field.secret ? undefined : (committed ?? field.default ?? undefined), yaml)
  }
  return values
}

function show(field: FormField, value: unknown, yaml: Yaml): string | boolean {
  if (field.kind === 'toggle') return value === true
  if (value === undefined || value === null) return ''
  switch (field.kind) {
    case 'choice': {
      const index = (field.options ?? []).findIndex((option) => isSame(option, value))
      return index < 0 ? '' : String(index)
    }
    case 'text-list':
      return Array.isArray(value) ? value.join('\n') : String(value)
    case 'yaml':
      return yaml.print(value)
    default:
      return typeof value === 'object' ? JSON.stringify(value) : String(value)
  }
}

/** The value of one control; `undefined` where nothing is given. */
function read(field: FormField, held: string | boolean | undefined, yaml: Yaml): { value?: unknown; fault?: string } {
  if (field.kind === 'toggle') return { value: held === true }
  // A password may begin or end with blanks; nothing else does on purpose.
  const text = typeof held === 'string' ? (field.kind === 'password' ? held : held.trim()) : ''
  if (text === '') return {}
  switch (field.kind) {
    case 'integer':
    case 'number': {
      const value = Number(text)
      if (!Number.isFinite(value)) return { fault: 'This is not a number.' }
      if (field.kind === 'integer' && !Number.isSafeInteger(value)) return { fault: 'A whole number is needed.' }
      if (typeof field.minimum === 'number' && value < field.minimum) return { fault: `At least ${field.minimum}.` }
      if (typeof field.maximum === 'number' && value > field.maximum) return { fault: `At most ${field.maximum}.` }
      return { value }
    }
    case 'choice': {
      const value = (field.options ?? [])[Number(text)]
      return value === undefined ? { fault: 'Choose one of the values.' } : { value }
    }
    case 'text-list':
      return { value: text.split('\n').map((line) => line.trim()).filter((line) => line !== '') }
    case 'yaml':
      try {
        return { value: yaml.parse(text) }
      } catch (error) {
        return { fault: `This is not YAML: ${error instanceof Error ? error.message.split('\n')[0] : 'unreadable'}` }
      }
    default:
      if (field.pattern && !fits(field.pattern, text)) return { fault: `Must match ${field.pattern}` }
      return { value: text }
  }
}

function fits(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(text)
  } catch {
    // A pattern that this browser cannot read is left to the Sovereign.
    return true
  }
}

/** The config for an install: what was given and is not the default anyway. */
export function installConfig(
  fields: FormField[],
  values: FormValues,
  yaml: Yaml,
): { config: Record<string, unknown>; faults: FormFaults } {
  const config: Record<string, unknown> = {}
  const faults: FormFaults = {}
  for (const field of fields) {
    const { value, fault } = read(field, values[field.pointer], yaml)
    const hasDefault = field.default !== undefined && field.default !== null
    if (fault) faults[field.pointer] = fault
    else if (value === undefined) {
      if (field.required && !hasDefault) faults[field.pointer] = 'This is needed.'
    } else if (hasDefault ? !isSame(value, field.default) : field.required || value !== false) {
      setAt(config, field.pointer, value)
    }
  }
  return { config, faults }
}

/** The merge patch (RFC 7386) that turns `current` into what the controls hold. */
export function configPatch(
  fields: FormField[],
  current: Record<string, unknown>,
  values: FormValues,
  yaml: Yaml,
): { patch: Record<string, unknown>; faults: FormFaults; isEmpty: boolean } {
  const patch: Record<string, unknown> = {}
  const faults: FormFaults = {}
  const before = initialValues(fields, current, yaml)
  for (const field of fields) {
    const held = values[field.pointer]
    // Untouched controls change nothing; an empty secret keeps the stored one.
    if (held === before[field.pointer]) continue
    const { value, fault } = read(field, held, yaml)
    const committed = getAt(current, field.pointer)
    if (fault) faults[field.pointer] = fault
    else if (value === undefined) {
      if (field.required && field.default == null) faults[field.pointer] = 'This is needed.'
      else if (committed !== undefined) setAt(patch, field.pointer, null)
    } else if (!isSame(value, committed)) {
      setAt(patch, field.pointer, mergePatch(committed, value))
    }
  }
  return { patch, faults, isEmpty: Object.keys(patch).length === 0 }
}

/** A merge patch from one value to another: members that went are null. */
export function mergePatch(from: unknown, to: unknown): unknown {
  if (!isObject(from) || !isObject(to)) return to
  const patch: Record<string, unknown> = {}
  for (const name of Object.keys(from)) if (!Object.hasOwn(to, name)) patch[name] = null
  for (const [name, value] of Object.entries(to)) {
    if (!isSame(from[name], value)) patch[name] = mergePatch(from[name], value)
  }
  return patch
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Sorts a Problem's faults to the controls they concern. Pointers are into the
 * request (`/config/replicas`) or into the Application's file
 * (`/spec/config/replicas`); a fault inside a field's value is the field's.
 */
export function placeFaults(faults: Fault[], names: string[]): { placed: FormFaults; others: Fault[] } {
  const placed: FormFaults = {}
  const others: Fault[] = []
  // The longest name first, so that a fault goes to the innermost control.
  const byLength = [...names].sort((left, right) => right.length - left.length)
  for (const fault of faults) {
    const pointer = placeOf(fault)
    const name = pointer === '' ? undefined : byLength.find((one) => isWithin(pointer, one))
    if (name === undefined) others.push(fault)
    else placed[name] = placed[name] ? `${placed[name]} ${fault.message}` : fault.message
  }
  return { placed, others }
}

/** The faults that are new beside those known at these pointers; one of a whole group may be for want of a member that is known. */
export function faultsBeside(faults: Fault[], known: string[]): Fault[] {
  return faults.filter((fault) => {
    const pointer = placeOf(fault)
    return pointer === '' || !known.some((one) => isWithin(pointer, one) || isWithin(one, pointer))
  })
}

function placeOf(fault: Fault): string {
  return (fault.pointer ?? '').replace(/^\/(spec|install|change)(?=\/)/, '')
}

function isWithin(pointer: string, group: string): boolean {
  return pointer === group || pointer.startsWith(group + '/')
}

/**
 * Why an Application cannot have this name, `undefined` where it can: the rules
 * of `ApplicationName` in core/model/names, because the API names no field when
 * it refuses a name.
 */
export function nameFault(name: string, envTypes: readonly string[]): string | undefined {
  if (name === '') return 'This is needed.'
  if (!/^[a-z]/.test(name)) return 'It must start with a lower-case letter.'
  const bad = /[^a-z0-9-]/u.exec(name)?.[0]
  if (bad) return `“${bad}” is not allowed; use lower-case letters, digits and hyphens.`
  if (name.length < 2 || name.length > 40) return 'It needs 2 to 40 characters.'
  if (name.endsWith('-')) return 'It must not end with a hyphen.'
  if (name === 'default' || /^(kube|flux)-/.test(name)) return 'This word is reserved.'
  const envType = envTypes.find((one) => name.startsWith(`${one}-`))
  return envType && `It must not start with “${envType}-”, the type of an Environment.`
}

/** The id of a field's control, for labels and links. */
export function fieldId(pointer: string): string {
  return 'config' + pointer.replace(/[^A-Za-z0-9]+/g, '-')
}
