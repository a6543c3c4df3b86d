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

/** What changed of a source, in a sentence for those who do not see it; of several things the greatest. */
export function news(then: BlueprintSourceView, now: BlueprintSourceView): string | undefined {
  if (then.health.phase !== now.health.phase) return `The source ${now.source} is now ${words(now.health.phase).toLowerCase()}.`
  if (now.refused.length > then.refused.length) return `In the registry, more of ${now.source} is not trusted.`
  return then.revision !== now.revision ? `The source ${now.source} was read anew.` : undefined
}
