/** YAML for the form's free fields; loaded only when a form has one. */
import type { Yaml } from './form'

/** Stands in where no field is YAML, so that the reader need not be loaded. */
export const noYaml: Yaml = {
  parse: (text) => JSON.parse(text),
  print: (value) => JSON.stringify(value, null, 2),
}

export async function loadYaml(): Promise<Yaml> {
  const { load, dump } = await import('js-yaml')
  return {
    parse: (text) => load(text),
    print: (value) => dump(value, { lineWidth: 100 }).trimEnd(),
  }
}
