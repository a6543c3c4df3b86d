/** Log text as it streams in: whole lines, bounded, with the containers it names. */
import type { Health } from '../api/types'

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

/** What the controller says of pods that have no container at work, and why that leaves the log empty. */
const SILENT: Record<string, string> = {
  CrashLoop: 'Its container ends soon after it starts, and waits to be started again.',
  PodFailing: 'A pod of it does not run as it should.',
  PodFailed: 'A pod of it failed.',
  ImageNotPulled: 'Its container has not started: the image cannot be pulled.',
  ContainerNotStarted: 'Its container cannot be started.',
  Unschedulable: 'Its pod finds no place to run.',
}

/**
 * Why an Application whose log is empty has logged nothing, as far as its
 * health tells; nothing for one that runs and is merely quiet.
 */
export function whySilent({ phase, reason, message }: Health): string | undefined {
  const cause = SILENT[reason]
  if (phase === 'Running' || phase === 'Paused' || phase === 'Deleting') return undefined
  if (cause) return cause
  // While a release is rolled out the reason is Flux's; the pod's is in the words.
  if (message.includes('CrashLoopBackOff')) return SILENT.CrashLoop
  if (phase === 'Failed') return 'It failed before its containers wrote anything.'
  if (phase === 'Degraded') return 'It does not run as it should.'
  return undefined
}
