/**
 * Things of one kind as this tab knows them, kept by loads and by the stream.
 *
 * What must stay true: a list that was asked for before a change came in never
 * overwrites that change, whichever arrives first.
 */
export class Collection<T> {
  readonly items: Map<string, T>
  /** When a key was last changed by the stream, in `#clock` ticks. */
  readonly #changed = new Map<string, number>()
  #clock = 0

  /** The map may be a reactive one. */
  constructor(items: Map<string, T> = new Map()) {
    this.items = items
  }

  /** From the stream. */
  put(key: string, item: T): void {
    this.#changed.set(key, ++this.#clock)
    this.items.set(key, item)
  }

  /** From the stream. */
  remove(key: string): void {
    this.#changed.set(key, ++this.#clock)
    this.items.delete(key)
  }

  /** To be called before asking; the answer is handed in with what this gives. */
  begin(): number {
    return this.#clock
  }

  /** One thing as answered. */
  answer(begun: number, key: string, item: T): void {
    if (this.#isNewer(key, begun)) return
    this.items.set(key, item)
  }

  /** There is no such thing, as answered. */
  answerGone(begun: number, key: string): void {
    if (!this.#isNewer(key, begun)) this.items.delete(key)
  }

  /** All things within a scope, as answered: others of the scope are gone. */
  answerAll(begun: number, answered: [key: string, item: T][], isInScope: (key: string, item: T) => boolean): void {
    const keys = new Set(answered.map(([key]) => key))
    for (const [key, item] of [...this.items]) {
      if (!keys.has(key) && isInScope(key, item) && !this.#isNewer(key, begun)) this.items.delete(key)
    }
    for (const [key, item] of answered) this.answer(begun, key, item)
  }

  #isNewer(key: string, begun: number): boolean {
    return (this.#changed.get(key) ?? 0) > begun
  }
}
