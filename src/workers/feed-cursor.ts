/**
 * Where a copy goes on, as the text that CopySlice and FeedProgress have: to everybody but the shards at both ends it
 * means nothing. Latin1, as keys are.
 *
 *   k key                      behind the key
 *   p session piece key        inside the large collection of the key (both numbers are 8 hexadecimal digits)
 *   q session piece key        the same, and the key is the only one to be copied
 *   o key                      before the key, which is the only one
 */
export type CopyCursor =
  | { readonly kind: 'begin' }
  | { readonly kind: 'behind'; readonly key: string }
  | { readonly kind: 'only'; readonly key: string }
  | {
      readonly kind: 'inside';
      readonly key: string;
      /** Which reading of the collection, at the source. */
      readonly session: number;
      /** Number of the piece that comes next. */
      readonly piece: number;
      readonly isOnly: boolean;
    };

const DIGITS = 8;

export function parseCursor(text: string | undefined): CopyCursor {
  if (text === undefined) return { kind: 'begin' };
  const kind = text[0];
  if (kind === 'k') return { kind: 'behind', key: text.slice(1) };
  if (kind === 'o') return { kind: 'only', key: text.slice(1) };
  if ((kind === 'p' || kind === 'q') && text.length > 2 * DIGITS)
    return {
      kind: 'inside',
      session: Number.parseInt(text.slice(1, 1 + DIGITS), 16),
      piece: Number.parseInt(text.slice(1 + DIGITS, 1 + 2 * DIGITS), 16),
      key: text.slice(1 + 2 * DIGITS),
      isOnly: kind === 'q',
    };
  throw new Error(`no place of a copy: ${JSON.stringify(text.slice(0, 100))}`);
}

export function behindKey(key: string): string {
  return `k${key}`;
}

export function onlyKey(key: string): string {
  return `o${key}`;
}

export function insideKey(key: string, session: number, piece: number, isOnly: boolean): string {
  const digits = (value: number) => value.toString(16).padStart(DIGITS, '0');
  return `${isOnly ? 'q' : 'p'}${digits(session)}${digits(piece)}${key}`;
}

/** The place from which a collection is copied from its beginning again, given one inside of it. */
export function againInside(text: string | undefined): string | undefined {
  const cursor = parseCursor(text);
  // No reading has the number 0.
  return cursor.kind === 'inside' ? insideKey(cursor.key, 0, 0, cursor.isOnly) : text;
}

/**
 * The keys of which a slice from one place to another has all, latin1: behind `from`, undefined = from the first one, up to
 * and with `until`, undefined = to the last.
 * @returns undefined inside a collection, or with a key that is copied by itself
 */
export function keysBetween(
  after: string | undefined,
  last: string | undefined,
): { readonly from: string | undefined; readonly until: string | undefined } | undefined {
  const [from, to] = [parseCursor(after), parseCursor(last)];
  if (from.kind === 'inside' || from.kind === 'only') return undefined;
  return {
    from: from.kind === 'begin' ? undefined : from.key,
    until: to.kind === 'begin' ? undefined : to.key,
  };
}
