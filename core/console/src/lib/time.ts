/** Times for people. Pure: now is a value. */

/** How long ago, such as `3 s ago`. Times ahead of now read as `just now`. */
export function ago(at: string, now: number): string {
  const seconds = secondsSince(at, now)
  if (seconds === undefined) return 'at an unknown time'
  return seconds < 1 ? 'just now' : `${duration(seconds)} ago`
}

/** How long since, such as `3 s`. */
export function span(at: string, now: number): string {
  const seconds = secondsSince(at, now)
  return seconds === undefined ? 'an unknown time' : duration(Math.max(0, seconds))
}

function secondsSince(at: string, now: number): number | undefined {
  const seconds = Math.floor((now - Date.parse(at)) / 1000)
  return Number.isNaN(seconds) ? undefined : seconds
}

function duration(seconds: number): string {
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`
  const days = Math.floor(seconds / 86_400)
  return days === 1 ? '1 day' : `${days} days`
}

/** The time of the Sovereign as well as this browser knows it. */
export class ServerClock {
  #offset = 0

  /** Takes note of the Sovereign's time, in ms; its header has whole seconds only. */
  note(serverTime: number, localTime: number): void {
    const difference = serverTime - localTime
    this.#offset = Math.abs(difference) > 2000 ? difference : 0
  }

  at(localTime: number): number {
    return localTime + this.#offset
  }
}
