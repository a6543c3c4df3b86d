/**
 * The shared worker: one for all tabs of the console. Browsers keep six
 * connections to a host on HTTP/1.1; with a stream a tab, the seventh tab would
 * hang.
 */
import { Hub, openStream, type HubMessage } from './hub'

/** What tabs say. */
export type TabMessage = { type: 'hello'; user: string } | { type: 'bye' }

const ports = new Set<MessagePort>()

const hub = new Hub({
  open: openStream,
  send: (message) => {
    for (const port of ports) port.postMessage(message)
  },
})

const scope = globalThis as unknown as SharedWorkerGlobalScope
scope.onconnect = (event) => {
  const port = event.ports[0]
  if (!port) return
  port.onmessage = ({ data }: MessageEvent<TabMessage>) => {
    if (data.type === 'bye') {
      ports.delete(port)
      if (ports.size === 0) hub.stop()
      return
    }
    ports.add(port)
    const state: HubMessage = { type: 'state', state: hub.state }
    port.postMessage(state)
    hub.start(data.user)
  }
}
