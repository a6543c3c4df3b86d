/** Unified diffs, line by line, for showing. */

export type DiffLine = {
  kind: 'file' | 'hunk' | 'added' | 'removed' | 'same'
  /** The line without its sign. */
  text: string
  /** Line numbers, where a hunk header gave them. */
  before?: number
  after?: number
}

/**
 * Reads a unified diff. Text before the first hunk is taken for file headers
 * when it looks like such; a diff without hunks (field by field) works too.
 */
export function parseDiff(diff: string): DiffLine[] {
  const lines: DiffLine[] = []
  let before: number | undefined
  let after: number | undefined
  // Lines that the current hunk still owes; headers are only read outside.
  let owedBefore = 0
  let owedAfter = 0
  for (const line of diff.replace(/\n$/, '').split('\n')) {
    const hunk = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(line)
    const isInside = owedBefore > 0 || owedAfter > 0
    if (hunk) {
      before = Number(hunk[1])
      after = Number(hunk[3])
      owedBefore = hunk[2] === undefined ? 1 : Number(hunk[2])
      owedAfter = hunk[4] === undefined ? 1 : Number(hunk[4])
      lines.push({ kind: 'hunk', text: line })
    } else if (!isInside && isHeader(line)) {
      before = after = undefined
      lines.push({ kind: 'file', text: line })
    } else if (line.startsWith('\\')) {
      lines.push({ kind: 'hunk', text: line.slice(2) })
    } else if (line.startsWith('+')) {
      lines.push({ kind: 'added', text: line.slice(1), ...(after === undefined ? {} : { after: after++ }) })
      owedAfter--
    } else if (line.startsWith('-')) {
      lines.push({ kind: 'removed', text: line.slice(1), ...(before === undefined ? {} : { before: before++ }) })
      owedBefore--
    } else {
      lines.push({
        kind: 'same',
        text: line.startsWith(' ') ? line.slice(1) : line,
        ...(before === undefined ? {} : { before: before++ }),
        ...(after === undefined ? {} : { after: after++ }),
      })
      owedBefore--
      owedAfter--
    }
  }
  return lines
}

function isHeader(line: string): boolean {
  return /^(diff --git |index [0-9a-f]|--- |\+\+\+ |new file mode|deleted file mode|old mode|new mode|similarity index|rename (from|to) )/.test(
    line,
  )
}

/** How many lines come and go, such as `+3 −1`. */
export function diffCounts(lines: DiffLine[]): string {
  const added = lines.filter((line) => line.kind === 'added').length
  const removed = lines.filter((line) => line.kind === 'removed').length
  return `+${added} −${removed}`
}
