// Says how large the console's JavaScript is. Fails when what every visit
// loads (page and stream worker) grows past its limit; what is loaded on
// demand is listed beside it.
import { readdir, readFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'

const LIMIT = 60 * 1024
const dist = new URL('../dist/', import.meta.url)
const html = await readFile(new URL('index.html', dist), 'utf8')
let visit = 0
for (const name of (await readdir(new URL('assets/', dist))).filter((file) => file.endsWith('.js')).sort()) {
  const size = gzipSync(await readFile(new URL(`assets/${name}`, dist))).length
  const isForAll = html.includes(name) || name.startsWith('worker-')
  if (isForAll) visit += size
  console.log(`${String(size).padStart(7)} B gzip  ${name}${isForAll ? '' : '  (on demand)'}`)
}
console.log(`${String(visit).padStart(7)} B gzip  JavaScript of every visit (limit ${LIMIT})`)
if (visit > LIMIT) {
  console.error('The console has grown past its limit.')
  process.exit(1)
}
