/** What a table says of a row: a column a fact (`components/Table.svelte` shows them). */
import type { Snippet } from 'svelte'

export interface Column<Row> {
  /** Its heading. */
  title: string
  /** What a cell says it is where rows are cards, if not the title; empty where it speaks for itself. */
  label?: string
  /** Buttons and links, each saying what it does: the heading is for those who hear it. */
  isAction?: boolean
  /** What a row is called by: the first column, unless another says so. */
  isName?: boolean
  class?: string
  /** The cell, in words alone. */
  text?: (row: Row) => string | number
  /** The cell, where words alone do not do. */
  cell?: Snippet<[Row]>
}

/** Which column rows are called by; every table has one, for those who hear a cell without its row. */
export function nameOf<Row>(columns: Column<Row>[]): number {
  return Math.max(0, columns.findIndex((one) => one.isName))
}

/** What a cell says it is where its row is a card, if anything. */
export function labelOf<Row>(column: Column<Row>): string | undefined {
  return column.isAction ? undefined : (column.label ?? column.title) || undefined
}

/** Its class, if any. */
export function classOf<Row>(column: Column<Row>): string | undefined {
  return [column.isAction && 'end', column.class].filter(Boolean).join(' ') || undefined
}
