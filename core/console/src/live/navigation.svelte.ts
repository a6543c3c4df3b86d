/** Ties the router to the browser's history. */
import { isPlainClick, match, type Route } from '../router'

export const navigation = $state({
  path: location.pathname,
  search: location.search,
  route: match(location.pathname) as Route,
  /** Counts up with every change of page, so that focus can follow. */
  visits: 0,
})

function arrive(): void {
  navigation.path = location.pathname
  navigation.search = location.search
  navigation.route = match(location.pathname)
  navigation.visits++
}

export function go(target: string, options: { replace?: boolean } = {}): void {
  if (options.replace) history.replaceState(null, '', target)
  else history.pushState(null, '', target)
  arrive()
  if (!options.replace) scrollTo(0, 0)
}

/** Changes the query without a change of page: filters are not a new place. */
export function setQuery(name: string, value: string | undefined): void {
  const search = new URLSearchParams(location.search)
  if (value) search.set(name, value)
  else search.delete(name)
  const text = search.toString()
  history.replaceState(null, '', location.pathname + (text ? `?${text}` : ''))
  navigation.search = location.search
}

export function query(name: string): string | undefined {
  return new URLSearchParams(navigation.search).get(name) ?? undefined
}

/** Links inside the console change the page without loading it. */
export function followLinks(): void {
  addEventListener('popstate', arrive)
  document.addEventListener('click', (event) => {
    const link = event.target instanceof Element ? event.target.closest('a') : null
    if (!link || !isPlainClick(event) || link.target || link.hasAttribute('download')) return
    if (link.origin !== location.origin || match(link.pathname).page === 'not-found') return
    // Jumps within the page are the browser's.
    if (link.hash && link.pathname === location.pathname) return
    event.preventDefault()
    go(link.pathname + link.search)
  })
}
