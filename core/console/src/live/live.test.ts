import { describe, expect, it } from 'vitest'
import { Collection } from './collection'
import { readEvents } from './events'
import { Hub, type HubMessage } from './hub'

function bytes(...pieces: string[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece))
      controller.close()
    },
  })
}

async function all(stream: ReadableStream<Uint8Array>) {
  const events = []
  for await (const event of readEvents(stream)) events.push(event)
  return events
}

describe('readEvents', () => {
  it('reads events however the bytes are cut', async () => {
    const text = ': hello\n\nid: 1\r\nevent: change\r\ndata: {"a":\r\ndata: "ü"}\r\n\r\nid:2\nevent: reset\ndata\n\nevent: cut\ndata: x'
    const expected = [undefined, { event: 'change', data: '{"a":\n"ü"}', id: '1' }, { event: 'reset', data: '', id: '2' }]
    expect(await all(bytes(text))).toEqual(expected)
    // One byte at a time: through the middle of the umlaut and the line ends.
    const single = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of new TextEncoder().encode(text)) controller.enqueue(Uint8Array.of(byte))
        controller.close()
      },
    })
    expect(await all(single)).toEqual(expected)
  })

  it('skips events without data and keeps the last id', async () => {
    expect(await all(bytes('id: 7\n\ndata: x\n\n'))).toEqual([{ event: 'message', data: 'x', id: '7' }])
  })
})

/** A hub whose connections are given one after the other, and whose pauses do not last. */
function hub(connections: ((lastEventId: string | undefined, signal: AbortSignal) => Promise<Response>)[]) {
  const heard: HubMessage[] = []
  const asked: (string | undefined)[] = []
  const pauses: number[] = []
  let finish: () => void = () => {}
  const finished = new Promise<void>((resolve) => (finish = resolve))
  const made = new Hub({
    send: (message) => {
      heard.push(message)
      if (message.type === 'unauthenticated') finish()
    },
    wait: async (milliseconds) => void pauses.push(milliseconds),
    open: (lastEventId, signal) => {
      asked.push(lastEventId)
      const next = connections.shift()
      if (next) return next(lastEventId, signal)
      finish()
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))
    },
  })
  return { hub: made, heard, asked, pauses, finished }
}

const change = (id: number) => `id: ${id}\nevent: change\ndata: {"kind":"removed","item":{"kind":"policy","name":"p${id}"}}\n\n`
const answer = (...pieces: string[]) => async () => new Response(bytes(...pieces))

describe('Hub', () => {
  it('hands on changes, and comes back where it was', async () => {
    const { hub: one, heard, asked, finished } = hub([answer(change(1), change(2)), answer(change(3))])
    one.start('admin')
    await finished
    expect(asked).toEqual([undefined, '2', '3'])
    expect(heard.map((message) => (message.type === 'change' ? message.id : message.type === 'state' ? message.state : message.type))).toEqual([
      'connecting', 'live', 'reset', '1', '2', 'offline', 'live', '3', 'offline',
    ])
    one.stop()
  })

  it('tells a reset of the server, and of an event it cannot read', async () => {
    const { hub: one, heard, finished } = hub([answer('id: 5\nevent: reset\ndata:\n\n', 'id: 6\nevent: change\ndata: {\n\n')])
    one.start('admin')
    await finished
    expect(heard.filter((message) => message.type === 'reset').length).toBe(3)
    one.stop()
  })

  it('waits longer after each failure, within a limit', async () => {
    const refused = async () => Promise.reject(new TypeError('refused'))
    const { hub: one, pauses, finished } = hub([...Array.from({ length: 8 }, () => refused), async () => new Response('', { status: 503 })])
    one.start('admin')
    await finished
    expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 8000, 10000, 10000, 10000])
    one.stop()
  })

  it('stops when nobody is signed in, and starts anew on the next hello', async () => {
    const { hub: one, heard, asked, finished } = hub([answer(change(4)), async () => new Response('', { status: 401 })])
    one.start('admin')
    await finished
    expect(heard.at(-1)).toEqual({ type: 'unauthenticated' })
    expect(one.state).toBe('offline')
    one.start('admin')
    expect(asked).toEqual([undefined, '4', undefined])
    one.stop()
  })

  it('drops a position that the server refuses', async () => {
    const { hub: one, asked, heard, finished } = hub([answer(change(4)), async () => new Response('', { status: 400 }), answer(': open\n\n')])
    one.start('admin')
    await finished
    expect(asked).toEqual([undefined, '4', undefined, undefined])
    expect(heard.filter((message) => message.type === 'reset').length).toBe(2)
    one.stop()
  })

  it('starts afresh for another user, and keeps one stream for the same', async () => {
    const never = (_: string | undefined, signal: AbortSignal) =>
      new Promise<Response>((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))
    const { hub: one, heard, asked } = hub([never, never])
    one.start('admin')
    one.start('admin')
    expect(asked.length).toBe(1)
    one.start('bob')
    expect(asked.length).toBe(2)
    expect(heard).toContainEqual({ type: 'reset' })
    one.stop()
  })

  it('gives up on a stream that fell silent', async () => {
    const asked: (string | undefined)[] = []
    let second: () => void = () => {}
    const reconnected = new Promise<void>((resolve) => (second = resolve))
    const one = new Hub({
      silence: 10,
      wait: async () => {},
      send: () => {},
      open: async (lastEventId, signal) => {
        asked.push(lastEventId)
        if (asked.length === 2) {
          second()
          return new Promise<Response>((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))
        }
        // Sends once, then never again, and never ends by itself.
        return new Response(
          new ReadableStream({
            start(controller) {
              controller.enqueue(new TextEncoder().encode(change(9)))
              signal.addEventListener('abort', () => controller.error(new Error('aborted')))
            },
          }),
        )
      },
    })
    one.start('admin')
    await reconnected
    expect(asked).toEqual([undefined, '9'])
    one.stop()
  })
})

describe('Collection', () => {
  it('never lets an older answer undo a newer change', () => {
    const things = new Collection<string>()
    const begun = things.begin()
    things.put('a', 'from the stream')
    things.put('b', 'made meanwhile')
    things.remove('c')
    things.answerAll(begun, [['a', 'old'], ['c', 'old'], ['d', 'new to us']], () => true)
    expect(Object.fromEntries(things.items)).toEqual({ a: 'from the stream', b: 'made meanwhile', d: 'new to us' })
  })

  it('drops what an answer no longer has, within its scope only', () => {
    const things = new Collection<string>()
    for (const key of ['dev/a', 'dev/b', 'prod/a']) things.put(key, key)
    things.answerAll(things.begin(), [['dev/a', 'newer']], (key) => key.startsWith('dev/'))
    expect(Object.fromEntries(things.items)).toEqual({ 'dev/a': 'newer', 'prod/a': 'prod/a' })
  })

  it('takes single answers, also that there is no such thing', () => {
    const things = new Collection<string>()
    things.answer(things.begin(), 'a', 'x')
    things.answerGone(things.begin(), 'a')
    expect(things.items.size).toBe(0)
  })
})
