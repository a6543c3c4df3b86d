/**
 * Keeps the keyboard's place. When what has the focus goes from the page, a
 * button whose row was removed, say, browsers drop the focus, and whoever hears
 * the page starts again at its top; here the nearest heading takes it instead.
 */

/** An element and all that it stands in, the innermost first. */
export function placesOf(element: Element | null): Element[] {
  const places: Element[] = []
  for (let one = element; one; one = one.parentElement) places.push(one)
  return places
}

/** Focuses the first of the places if it is still there, else the heading nearest to it. */
export function focusNear(places: Element[]): void {
  const [first] = places
  if (first instanceof HTMLElement && first.isConnected) return first.focus()
  const around = places.find((one) => one.isConnected)?.closest('dialog, section, main')
  const heading = around?.querySelector<HTMLElement>('h1, h2, h3') ?? document.querySelector<HTMLElement>('main h1')
  if (!heading) return
  heading.tabIndex = -1
  heading.focus({ preventScroll: true })
}

/** Follows the focus of the whole page from now on. */
export function keepFocus(): void {
  let places: Element[] = []
  document.addEventListener('focusin', (event) => (places = placesOf(event.target as Element)))
  new MutationObserver(() => {
    const isElsewhere = document.activeElement !== null && document.activeElement !== document.body
    if (isElsewhere || !places[0] || places[0].isConnected) return
    const lost = places
    places = []
    focusNear(lost)
  }).observe(document.body, { childList: true, subtree: true })
}
