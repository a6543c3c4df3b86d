// Writes src/api/generated.ts from the gateway's OpenAPI document; with
// --check, fails when the file on disk differs.
import { readFile, writeFile } from 'node:fs/promises'
import openapiTypescript, { astToString } from 'openapi-typescript'

const source = new URL('../../control/gateway/openapi.json', import.meta.url)
const target = new URL('../src/api/generated.ts', import.meta.url)

const types = await openapiTypescript(source, { alphabetize: true, emptyObjectsUnknown: true })
const text = `// Made from core/control/gateway/openapi.json by \`npm run types\`; not to be edited.\n${astToString(types)}`

if (process.argv.includes('--check')) {
  const found = await readFile(target, 'utf8').catch(() => '')
  if (found !== text) {
    console.error('src/api/generated.ts differs from what core/control/gateway/openapi.json says.')
    console.error('hint: run `npm run types` in core/console, and commit the result.')
    process.exit(1)
  }
  console.log('src/api/generated.ts is what the OpenAPI document says.')
} else {
  await writeFile(target, text)
  console.log('Wrote src/api/generated.ts.')
}
