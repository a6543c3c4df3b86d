/** JSON pointers (RFC 6901) into plain values. */

export function parsePointer(pointer: string): string[] {
  if (pointer === '') return []
  return pointer
    .replace(/^\//, '')
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

export function getAt(value: unknown, pointer: string): unknown {
  let here = value
  for (const part of parsePointer(pointer)) {
    if (here === null || typeof here !== 'object' || !Object.hasOwn(here, part)) return undefined
    here = (here as Record<string, unknown>)[part]
  }
  return here
}

/** Sets a member, making the objects on the way. */
export function setAt(target: Record<string, unknown>, pointer: string, value: unknown): void {
  const parts = parsePointer(pointer)
  const last = parts.pop()
  if (last === undefined) return
  let here = target
  for (const part of parts) {
    const next = Object.hasOwn(here, part) ? here[part] : undefined
    if (next !== null && typeof next === 'object' && !Array.isArray(next)) {
      here = next as Record<string, unknown>
    } else {
      const made: Record<string, unknown> = {}
      define(here, part, made)
      here = made
    }
  }
  define(here, last, value)
}

// A member called `__proto__` must stay a member.
function define(target: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, writable: true, enumerable: true, configurable: true })
}

/** Equality of JSON values; the order of members does not count. */
export function isSame(left: unknown, right: unknown): boolean {
  if (left === right) return true
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false
  if (Array.isArray(left) !== Array.isArray(right)) return false
  const names = Object.keys(left)
  return (
    names.length === Object.keys(right).length &&
    names.every(
      (name) =>
        Object.hasOwn(right, name) &&
        isSame((left as Record<string, unknown>)[name], (right as Record<string, unknown>)[name]),
    )
  )
}
