/** Known vulnerabilities in words: what a report amounts to, and a sign and a tone for each severity. */
import type { Severity, VulnerabilityReport } from '../api/types'
import type { Tone } from './phase'

/** From the worst. */
export const SEVERITIES: readonly Severity[] = ['critical', 'high', 'medium', 'low', 'unknown']

const LOOKS: Record<Severity, { word: string; sign: string; tone: Tone }> = {
  critical: { word: 'Critical', sign: '✕', tone: 'bad' },
  high: { word: 'High', sign: '!', tone: 'bad' },
  medium: { word: 'Medium', sign: '!', tone: 'warn' },
  low: { word: 'Low', sign: '·', tone: 'idle' },
  unknown: { word: 'Not rated', sign: '?', tone: 'idle' },
}

/** How a severity looks. */
export function severityLook(severity: Severity): { word: string; sign: string; tone: Tone } {
  return LOOKS[severity]
}

function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`
}

/** What a report amounts to. None found is good news only where everything was compared with a current database. */
export function verdict(report: VulnerabilityReport): { tone: Tone; words: string } {
  const { database, findings, gaps, components, counts } = report
  if (findings.length > 0) {
    const found = SEVERITIES.reduce((sum, severity) => sum + counts[severity], 0)
    return {
      tone: counts.critical + counts.high > 0 ? 'bad' : 'warn',
      words: `${counted(found, 'known vulnerability', 'known vulnerabilities')} in ${counted(components, 'package', 'packages')}.`,
    }
  }
  if (database.records === 0) return { tone: 'warn', words: 'Nothing was compared.' }
  const none = `None is known in ${counted(components, 'package', 'packages')}`
  if (database.state === 'current' && gaps.length === 0 && components > 0) return { tone: 'good', words: `${none}.` }
  return { tone: 'warn', words: `${none}, but not everything could be compared.` }
}
