/** Times for people. Pure: now is a value. */

/** How long ago, such as `3 s ago`. Times ahead of now read as `just now`. */
export function ago(at: string, now: number): string {
  const seconds = Math.floor((now - Date.parse(at)) / 1000)
  if (Number.isNaN(seconds)) return 'at an unknown time'
  if (seconds < 1) return 'just now'
  if (seconds < 60) return `${seconds} s ago`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`
  const days = Math.floor(seconds / 86_400)
  return days === 1 ? '1 day ago' : `${days} days ago`
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
