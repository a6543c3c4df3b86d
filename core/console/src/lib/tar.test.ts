import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tar } from './tar'

test('what is archived is what the real tar unpacks', () => {
  const deep = `clusters/${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(40)}.example/parts/gitea/release.yaml`
  const files = [
    { path: 'clusters/omantel.example/settings.yaml', text: 'a: ü\n' },
    { path: 'clusters/omantel.example/empty.yaml', text: '' },
    // As long as the plain header takes, one more, and as long as a domain makes it.
    ...[100, 101].map((length) => ({ path: `${'x/'.repeat(40)}${'y'.repeat(length - 80)}`, text: 'x'.repeat(512) })),
    { path: deep, text: 'deep\n'.repeat(200) },
  ]
  const folder = mkdtempSync(join(tmpdir(), 'tar-'))
  try {
    execFileSync('tar', ['-x', '-f', '-', '-C', folder], { input: tar(files, 1_700_000_000) })
    for (const { path, text } of files) expect(readFileSync(join(folder, path), 'utf8'), path).toBe(text)
    const list = execFileSync('tar', ['-t', '-f', '-'], { input: tar(files, 0), encoding: 'utf8' })
    expect(list.trimEnd().split('\n')).toEqual(files.map(({ path }) => path))
  } finally {
    rmSync(folder, { recursive: true })
  }
})
