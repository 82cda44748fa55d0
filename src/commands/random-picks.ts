import { CommandError, NOT_AN_INTEGER } from '../base/command-errors.js';
import { RANDOM_PICKS_MAX } from '../base/limits.js';
import { INT64_MAX, parseInt64 } from '../base/numbers.js';

const OUT_OF_RANGE = new CommandError(
  `ERR value is out of range, value must between ${-INT64_MAX} and ${INT64_MAX}`,
);
const TOO_MANY = new CommandError(
  `ERR value is out of range, at most ${RANDOM_PICKS_MAX} elements are picked with repetitions; ask several times`,
);

/** A count of random elements: positive for different ones, negative where they may come more than once. */
export function parsePickCount(text: string): number | CommandError {
  const parsed = parseInt64(text);
  if (parsed === undefined) return NOT_AN_INTEGER;
  return parsed < -INT64_MAX ? OUT_OF_RANGE : Number(parsed);
}

/** A collection that elements are picked from. */
export interface PickSource {
  /** Not 0. */
  readonly size: number;
  pick(): string;
  all(): string[];
}

/**
 * Random elements by name, or an error for more than there may be in one reply.
 * @param count as {@link parsePickCount} gives it
 */
export function pickNames(source: PickSource, count: number): string[] | CommandError {
  if (count < -RANDOM_PICKS_MAX) return TOO_MANY;
  if (count < 0) return Array.from({ length: -count }, () => source.pick());
  if (count >= source.size) return source.all();
  // Where most are asked for, picking would meet again and again what has been picked.
  if (count * 3 > source.size) return sample(source.all(), count);
  const picked = new Set<string>();
  while (picked.size < count) picked.add(source.pick());
  return [...picked];
}

/** `count` of the names, in random order. */
function sample(names: string[], count: number): string[] {
  for (let at = 0; at < count; at++) {
    const other = at + Math.floor(Math.random() * (names.length - at));
    [names[at], names[other]] = [names[other]!, names[at]!];
  }
  names.length = count;
  return names;
}
