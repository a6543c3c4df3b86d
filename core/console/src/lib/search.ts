/** Finding cards in the marketplace. */
import type { BlueprintCard } from '../api/types'

/** Cards that have every word somewhere, by title; an empty category is any. */
export function findCards(cards: BlueprintCard[], words: string, category: string): BlueprintCard[] {
  const wanted = words.toLowerCase().split(/\s+/).filter((word) => word !== '')
  return cards
    .filter((card) => category === '' || (card.category ?? 'Other') === category)
    .filter((card) => {
      const text = [card.title, card.tagline, card.name, card.category, ...(card.tags ?? [])].join(' ').toLowerCase()
      return wanted.every((word) => text.includes(word))
    })
    .sort((left, right) => left.title.localeCompare(right.title))
}
