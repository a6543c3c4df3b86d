/**
 * Holds the browser's one event stream and hands on what it says.
 *
 * Runs in the shared worker, or in the tab that leads where there is none. What
 * must stay true: at most one stream is open at a time, and a gap is either
 * bridged (`Last-Event-ID`) or told to every tab as `reset`.
 */
import type { StreamItem } from '../api/types'
import { readEvents } from './events'

/** What tabs hear. */
export type HubMessage =
  | { type: 'state'; state: ConnectionState }
  | { type: 'change'; id: string | undefined; change: StreamItem }
  /** Something may have been missed: read everything anew. */
  | { type: 'reset' }
  | { type: 'unauthenticated' }

export type ConnectionState = 'connecting' | 'live' | 'offline'

export type HubOptions = {
  /** Opens the stream after the event of that id. */
  open: (lastEventId: string | undefined, signal: AbortSignal) => Promise<Response>
  send: (message: HubMessage) => void
  /** Waits that many ms, or less when the signal says so. */
  wait?: (milliseconds: number, signal: AbortSignal) => Promise<void>
  /** A stream without even a heartbeat for so long (ms) is dead. */
  silence?: number
}

/** Between attempts at a Sovereign that is away, in ms: doubled from the first to the longest. */
export const FIRST_PAUSE = 250
export const LONGEST_PAUSE = 10_000

export class Hub {
  readonly #options: Required<HubOptions>
  #run: AbortController | undefined
  #user: string | undefined
  #lastEventId: string | undefined
  #state: ConnectionState = 'offline'

  constructor(options: HubOptions) {
    this.#options = { wait: pause, silence: 60_000, ...options }
  }

  get state(): ConnectionState {
    return this.#state
  }

  /** Follows the stream for a user; starts afresh when it was another's. */
  start(user: string, lastEventId?: string): void {
    if (this.#run && this.#user === user) return
    if (this.#user !== undefined && this.#user !== user) {
      this.#lastEventId = undefined
      this.#options.send({ type: 'reset' })
    }
    this.stop()
    this.#user = user
    this.#lastEventId ??= lastEventId
    this.#run = new AbortController()
    void this.#follow(this.#run.signal)
  }

  stop(): void {
    this.#run?.abort()
    this.#run = undefined
    this.#state = 'offline'
  }

  async #follow(signal: AbortSignal): Promise<void> {
    let failures = 0
    let hasOpened = false
    while (!signal.aborted) {
      this.#tell(hasOpened || failures > 0 ? 'offline' : 'connecting', signal)
      const attempt = new AbortController()
      const giveUp = () => attempt.abort()
      signal.addEventListener('abort', giveUp, { once: true })
      let silence: ReturnType<typeof setTimeout> | undefined
      const heard = () => {
        clearTimeout(silence)
        silence = setTimeout(giveUp, this.#options.silence)
      }
      try {
        heard()
        const isFresh = this.#lastEventId === undefined
        const answer = await this.#options.open(this.#lastEventId, attempt.signal)
        if (signal.aborted) return
        if (answer.status === 401) {
          this.#lastEventId = undefined
          this.stop()
          this.#options.send({ type: 'unauthenticated' })
          return
        }
        // A position that the server does not know, after its data was reset, say.
        if (answer.status === 400 || answer.status === 410) this.#lastEventId = undefined
        if (!answer.ok || !answer.body) throw new Error(`the stream answered ${answer.status}`)
        hasOpened = true
        this.#tell('live', signal)
        // Without a position, what happened before now was not in the stream.
        if (isFresh) this.#options.send({ type: 'reset' })
        for await (const event of readEvents(answer.body)) {
          if (signal.aborted) return
          failures = 0
          heard()
          if (event) this.#take(event)
        }
      } catch {
        // Unreachable, refused or cut: tried again below, told as `offline`.
      } finally {
        clearTimeout(silence)
        signal.removeEventListener('abort', giveUp)
        attempt.abort()
      }
      if (signal.aborted) return
      this.#tell('offline', signal)
      const longest = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(failures, 10))
      failures++
      await this.#options.wait(longest, signal)
    }
  }

  #take(event: { event: string; data: string; id: string | undefined }): void {
    if (event.id !== undefined && event.id !== '') this.#lastEventId = event.id
    if (event.event === 'reset') {
      this.#options.send({ type: 'reset' })
    } else if (event.event === 'change') {
      try {
        this.#options.send({ type: 'change', id: event.id, change: JSON.parse(event.data) as StreamItem })
      } catch {
        // An event that cannot be read is a gap like any other.
        this.#options.send({ type: 'reset' })
      }
    }
  }

  #tell(state: ConnectionState, signal: AbortSignal): void {
    if (signal.aborted || state === this.#state) return
    this.#state = state
    this.#options.send({ type: 'state', state })
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds)
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true })
  })
}

/** Opens the stream as the console does. */
export function openStream(lastEventId: string | undefined, signal: AbortSignal): Promise<Response> {
  return fetch('/api/v1/stream', {
    signal,
    cache: 'no-store',
    credentials: 'same-origin',
    headers: {
      accept: 'text/event-stream',
      ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
    },
  })
}
