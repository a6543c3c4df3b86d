/**
 * Judges single values by a JSON Schema, as far as the schema of a Sovereign's
 * description goes, so that a form says what is wrong while somebody types. The
 * Sovereign judges once more, and knows more.
 */

export type Property = {
  type?: string | string[]
  description?: string
  default?: unknown
  examples?: unknown[]
  enum?: unknown[]
  pattern?: string
  format?: string
  maxLength?: number
  minimum?: number
  maximum?: number
  minItems?: number
  items?: Property
  properties?: Record<string, Property>
  $ref?: string
  /** Of the region: by its code, defaults of other properties that differ from their own. */
  'x-defaults'?: Record<string, Record<string, unknown>>
}

export type Schema = { properties: Record<string, Property>; required?: string[]; $defs?: Record<string, Property> }

/**
 * What is wrong with a value; nothing where it will do, or where it is left out. `form`
 * says what a text looks like, for people.
 */
export function valueFault(property: Property, value: unknown, form?: string): string | undefined {
  if (value === undefined || value === null) return undefined
  if (property.enum && !property.enum.includes(value)) return `One of ${property.enum.map(String).join(', ')} is needed.`
  if (Array.isArray(value)) {
    if (value.length < (property.minItems ?? 0)) return 'This is needed.'
    const faults = value.flatMap((item) => {
      const fault = valueFault(property.items ?? {}, item, form)
      return fault === undefined ? [] : [`${String(item)}: ${fault}`]
    })
    return faults.length > 0 ? faults.join(' ') : undefined
  }
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) return 'A whole number is needed.'
    if (property.minimum !== undefined && value < property.minimum) return `At least ${property.minimum}.`
    if (property.maximum !== undefined && value > property.maximum) return `At most ${property.maximum}.`
    return undefined
  }
  if (typeof value !== 'string') return undefined
  if (property.maxLength !== undefined && value.length > property.maxLength) return `At most ${property.maxLength} characters.`
  if (property.format === 'email' && !/^[^\s@]+@[^\s@]+\.[^\s@.]+$/.test(value)) return 'A mail address has the form name@host.'
  if (property.pattern && !new RegExp(property.pattern, 'u').test(value)) return form ?? 'This does not have the form that is needed.'
  return undefined
}
