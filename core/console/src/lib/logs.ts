/** Log text as it streams in: whole lines, bounded, with the containers it names. */

const LIMIT = 5000

export class LogLines {
  lines: string[] = []
  #rest = ''

  /** Takes the next piece of text; keeps the newest lines only. */
  add(text: string): void {
    const parts = (this.#rest + text).split('\n')
    this.#rest = parts.pop() ?? ''
    this.lines = [...this.lines, ...parts].slice(-LIMIT)
  }

  /** What came after the last line end, at the end of the stream. */
  end(): void {
    if (this.#rest !== '') this.add('\n')
  }
}

/**
 * The containers of a log whose every line begins with `pod/container `; none
 * when the log is of one container, whose lines have no such beginning.
 */
export function containersOf(lines: string[]): string[] {
  const names = new Set<string>()
  for (const line of lines) {
    const found = /^[a-z0-9][a-z0-9.-]*\/([a-z0-9]([a-z0-9-]*[a-z0-9])?) /.exec(line)
    if (!found?.[1]) return []
    names.add(found[1])
  }
  return [...names].sort()
}
