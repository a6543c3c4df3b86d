/** A tar archive of text files (POSIX.1-2001, pax), for what a user shall unpack in a repository. */

const BLOCK = 512
/** The longest path that the plain header has room for, in bytes; longer ones go into a header of their own. */
const LONGEST_PATH = 100

const encoder = new TextEncoder()

/** The archive; `seconds` since 1970 are when its files were changed. */
export function tar(files: { path: string; text: string }[], seconds: number): Uint8Array<ArrayBuffer> {
  const blocks: Uint8Array[] = []
  for (const { path, text } of files) {
    if (encoder.encode(path).length > LONGEST_PATH) add(blocks, 'pax', 'x', encoder.encode(record('path', path)), seconds)
    add(blocks, path, '0', encoder.encode(text), seconds)
  }
  // Two empty blocks end it.
  blocks.push(new Uint8Array(2 * BLOCK))
  const whole = new Uint8Array(blocks.reduce((sum, block) => sum + block.length, 0))
  let at = 0
  for (const block of blocks) {
    whole.set(block, at)
    at += block.length
  }
  return whole
}

function add(blocks: Uint8Array[], path: string, type: '0' | 'x', content: Uint8Array, seconds: number) {
  const header = new Uint8Array(BLOCK)
  const put = (offset: number, text: string) => header.set(encoder.encode(text), offset)
  const number = (offset: number, width: number, value: number) => put(offset, value.toString(8).padStart(width - 1, '0'))
  header.set(encoder.encode(path).subarray(0, LONGEST_PATH), 0)
  number(100, 8, 0o644)
  number(108, 8, 0)
  number(116, 8, 0)
  number(124, 12, content.length)
  number(136, 12, Math.floor(seconds))
  put(156, type)
  put(257, 'ustar\u000000')
  // The sum is of the header with blanks in its own place.
  put(148, ' '.repeat(8))
  const sum = header.reduce((total, byte) => total + byte, 0)
  put(148, `${sum.toString(8).padStart(6, '0')}\u0000 `)
  blocks.push(header, content, new Uint8Array((BLOCK - (content.length % BLOCK)) % BLOCK))
}

/** A record of a pax header: its own length, which counts its digits too, name and value. */
function record(name: string, value: string): string {
  const rest = ` ${name}=${value}\n`
  const size = encoder.encode(rest).length
  let length = size + 1
  while (String(length).length + size !== length) length = String(length).length + size
  return `${length}${rest}`
}
