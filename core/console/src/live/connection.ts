/**
 * Connects a tab to the browser's one stream: through the shared worker, or,
 * where there is none, through whichever tab holds the lock.
 */
import { Hub, openStream, type HubMessage } from './hub'
import type { TabMessage } from './worker'

export type Connection = { close: () => void }

const NAME = 'catalyst-stream'

export function connect(user: string, hear: (message: HubMessage) => void): Connection {
  if (typeof SharedWorker === 'function') return connectWorker(user, hear)
  if (typeof BroadcastChannel === 'function' && navigator.locks) return connectByLeader(user, hear)
  return connectAlone(user, hear)
}

function connectWorker(user: string, hear: (message: HubMessage) => void): Connection {
  let fallback: Connection | undefined
  const worker = new SharedWorker(new URL('./worker.ts', import.meta.url), { type: 'module', name: NAME })
  const say = (message: TabMessage) => worker.port.postMessage(message)
  const hello = () => say({ type: 'hello', user })
  const bye = () => say({ type: 'bye' })
  worker.port.onmessage = ({ data }: MessageEvent<HubMessage>) => hear(data)
  worker.onerror = () => {
    // The script did not load: this tab goes on by itself.
    fallback ??= connectAlone(user, hear)
  }
  // Pages in the back-forward cache must not keep the stream alive, and must
  // hear again when they come back.
  const shown = (event: PageTransitionEvent) => {
    if (!event.persisted) return
    hello()
    hear({ type: 'reset' })
  }
  addEventListener('pagehide', bye)
  addEventListener('pageshow', shown)
  hello()
  return {
    close: () => {
      removeEventListener('pagehide', bye)
      removeEventListener('pageshow', shown)
      bye()
      worker.port.close()
      fallback?.close()
    },
  }
}

function connectByLeader(user: string, hear: (message: HubMessage) => void): Connection {
  const channel = new BroadcastChannel(NAME)
  const closing = new AbortController()
  let lastEventId: string | undefined
  let hub: Hub | undefined
  const take = (message: HubMessage) => {
    if (message.type === 'change') lastEventId = message.id ?? lastEventId
    hear(message)
  }
  channel.onmessage = ({ data }: MessageEvent<HubMessage | TabMessage>) => {
    if (data.type === 'hello') {
      if (!hub) return
      channel.postMessage({ type: 'state', state: hub.state } satisfies HubMessage)
      hub.start(data.user)
    } else if (data.type !== 'bye') {
      take(data)
    }
  }
  channel.postMessage({ type: 'hello', user } satisfies TabMessage)
  navigator.locks
    .request(NAME, { signal: closing.signal }, () => {
      const leader = new Hub({
        open: openStream,
        send: (message) => {
          channel.postMessage(message)
          take(message)
        },
      })
      hub = leader
      leader.start(user, lastEventId)
      // Leads until the tab goes; the lock then passes to the next one.
      return new Promise<void>((resolve) => {
        closing.signal.addEventListener('abort', () => {
          leader.stop()
          resolve()
        })
      })
    })
    .catch(() => {
      // Closed before it led.
    })
  return {
    close: () => {
      closing.abort()
      channel.close()
    },
  }
}

function connectAlone(user: string, hear: (message: HubMessage) => void): Connection {
  const hub = new Hub({ open: openStream, send: hear })
  hub.start(user)
  return { close: () => hub.stop() }
}
