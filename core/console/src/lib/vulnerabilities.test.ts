import { expect, it } from 'vitest'
import type { VulnerabilityReport } from '../api/types'
import { SEVERITIES, severityLook, verdict } from './vulnerabilities'

const NONE = { critical: 0, high: 0, medium: 0, low: 0, unknown: 0 }
const clean: VulnerabilityReport = {
  database: { state: 'current', message: 'Fresh.', records: 10, ecosystems: ['npm'] },
  components: 3,
  counts: NONE,
  findings: [],
  gaps: [],
}
const finding = { id: 'X-1', severity: 'high' as const, component: 'a', version: '1', purl: 'pkg:npm/a@1', path: ['a 1'] }

it('calls only what was compared in full with a current database good', () => {
  expect(verdict(clean)).toEqual({ tone: 'good', words: 'None is known in 3 packages.' })
  for (const other of [
    { ...clean, gaps: ['One image.'] },
    { ...clean, components: 0 },
    { ...clean, database: { ...clean.database, state: 'old' as const } },
    { ...clean, database: { ...clean.database, state: 'broken' as const } },
    { ...clean, database: { ...clean.database, state: 'missing' as const, records: 0 } },
  ]) {
    expect(verdict(other).tone).toBe('warn')
  }
  expect(verdict({ ...clean, database: { ...clean.database, state: 'missing', records: 0 } }).words).toBe('Nothing was compared.')
})

it('counts what is known, also what is not listed', () => {
  expect(verdict({ ...clean, findings: [finding], counts: { ...NONE, high: 1 }, components: 1 })).toEqual({ tone: 'bad', words: '1 known vulnerability in 1 package.' })
  expect(verdict({ ...clean, findings: [{ ...finding, severity: 'low' }], counts: { ...NONE, low: 2 } })).toEqual({ tone: 'warn', words: '2 known vulnerabilities in 3 packages.' })
})

it('tells severities apart without colour', () => {
  expect(new Set(SEVERITIES.map((one) => severityLook(one).word)).size).toBe(SEVERITIES.length)
})
