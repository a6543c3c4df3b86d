// Holds a file against the JSON schema that CycloneDX publishes for 1.6.
import { readFile } from 'node:fs/promises'
import { Spec, Validation } from '@cyclonedx/cyclonedx-library'

const text = await readFile(process.argv[2], 'utf8')
const errors = await new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(text)
if (errors !== null) {
  console.error(JSON.stringify(errors, null, 2))
  process.exit(1)
}
