/** Sources of Blueprints: where something stands, and what of it is to be said. */
import type { BlueprintSourceView } from '../api/types'
import { words } from './phase'

export type Problem = BlueprintSourceView['problems'][number]
export type Published = BlueprintSourceView['blueprints'][number]
export type Withdrawn = { name: string; version: string; reason: string }

/** `bp-wiki/chart/values.yaml:3`, as compilers say it. */
export function placeOf(problem: Problem): string {
  return problem.line ? `${problem.file}:${problem.line}` : problem.file
}

/** Every version that a source took back, by Blueprint and then by version. */
export function withdrawnOf(source: BlueprintSourceView): Withdrawn[] {
  const order = new Intl.Collator('en', { numeric: true })
  return source.blueprints.flatMap((blueprint) =>
    Object.entries(blueprint.yanked ?? {})
      .map(([version, reason]) => ({ name: blueprint.name, version, reason }))
      .sort((left, right) => order.compare(left.version, right.version)),
  )
}

/** What changed between two looks, in sentences for those who do not see it. */
export function news(before: BlueprintSourceView[], after: BlueprintSourceView[]): string[] {
  const known = new Map(before.map((one) => [one.source, one]))
  return after.flatMap((now) => {
    const then = known.get(now.source)
    if (!then) return []
    const told: string[] = []
    if (then.health.phase !== now.health.phase) told.push(`The source ${now.source} is now ${words(now.health.phase).toLowerCase()}.`)
    else if (then.revision !== now.revision) told.push(`The source ${now.source} was read anew.`)
    if (now.refused.length > then.refused.length) told.push(`In the registry, more of ${now.source} is not trusted.`)
    return told
  })
}
