/**
 * The part of Markdown that descriptions use, as a tree. No HTML is ever taken
 * from the text, so nothing in it can become markup.
 */

export type Inline =
  | { kind: 'text' | 'code' | 'strong' | 'emphasis'; text: string }
  | { kind: 'link'; text: string; href: string }

export type Block =
  | { kind: 'heading'; level: number; inlines: Inline[] }
  | { kind: 'paragraph'; inlines: Inline[] }
  | { kind: 'code'; text: string }
  | { kind: 'list'; ordered: boolean; items: Inline[][] }

export function parseMarkdown(source: string): Block[] {
  const blocks: Block[] = []
  const lines = source.replaceAll('\r\n', '\n').split('\n')
  let index = 0
  const peek = () => lines[index] ?? ''
  while (index < lines.length) {
    const line = peek()
    const fence = /^\s*(```+|~~~+)/.exec(line)
    const heading = /^(#{1,6})\s+(.*?)\s*#*$/.exec(line)
    const item = /^\s{0,3}(?:([-*+])|(\d+)[.)])\s+(.*)$/.exec(line)
    if (line.trim() === '') {
      index++
    } else if (fence) {
      const code: string[] = []
      index++
      while (index < lines.length && !peek().trim().startsWith(fence[1] ?? '```')) code.push(lines[index++] ?? '')
      index++
      blocks.push({ kind: 'code', text: code.join('\n') })
    } else if (heading) {
      index++
      blocks.push({ kind: 'heading', level: (heading[1] ?? '#').length, inlines: parseInlines(heading[2] ?? '') })
    } else if (item) {
      const ordered = item[1] === undefined
      const items: string[] = []
      while (index < lines.length) {
        const next = /^\s{0,3}(?:([-*+])|(\d+)[.)])\s+(.*)$/.exec(peek())
        if (next && (next[1] === undefined) === ordered) items.push(next[3] ?? '')
        else if (/^\s{2,}\S/.test(peek()) && items.length > 0) items.push(`${items.pop()} ${peek().trim()}`)
        else break
        index++
      }
      blocks.push({ kind: 'list', ordered, items: items.map(parseInlines) })
    } else {
      const text: string[] = []
      while (index < lines.length && peek().trim() !== '' && !/^(#{1,6}\s|\s*(```|~~~)|\s{0,3}([-*+]|\d+[.)])\s)/.test(peek()))
        text.push(lines[index++] ?? '')
      // A line that starts like another block but is none (`1.5 GB`) is text.
      if (text.length === 0) text.push(lines[index++] ?? '')
      blocks.push({ kind: 'paragraph', inlines: parseInlines(text.join(' ')) })
    }
  }
  return blocks
}

/** The level to show each heading at, by block: from `top` on and without gaps, as outlines need it. */
export function headingLevels(blocks: Block[], top: number): (number | undefined)[] {
  const open: number[] = []
  return blocks.map((block) => {
    if (block.kind !== 'heading') return undefined
    while (open.length > 0 && (open.at(-1) ?? 0) >= block.level) open.pop()
    open.push(block.level)
    return Math.min(6, top + open.length - 1)
  })
}

function parseInlines(text: string): Inline[] {
  const inlines: Inline[] = []
  const pattern = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\(([^)\s]+)\)/g
  let end = 0
  for (const found of text.matchAll(pattern)) {
    if (found.index > end) inlines.push({ kind: 'text', text: text.slice(end, found.index) })
    end = found.index + found[0].length
    if (found[1] !== undefined) inlines.push({ kind: 'code', text: found[1] })
    else if (found[2] !== undefined) inlines.push({ kind: 'strong', text: found[2] })
    else if (found[3] !== undefined) inlines.push({ kind: 'emphasis', text: found[3] })
    else if (isSafeLink(found[5] ?? '')) inlines.push({ kind: 'link', text: found[4] ?? '', href: found[5] ?? '' })
    else inlines.push({ kind: 'text', text: found[4] ?? '' })
  }
  if (end < text.length) inlines.push({ kind: 'text', text: text.slice(end) })
  return inlines
}

function isSafeLink(href: string): boolean {
  return /^(https?:\/\/|mailto:)/i.test(href)
}
