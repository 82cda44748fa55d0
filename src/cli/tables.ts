import Table from 'cli-table3';
import type {
  CopyView,
  KeyspaceDescription,
  KeyspaceView,
  StoreView,
  TopologyView,
} from './cluster-client.js';
import { agoText, bytesText, count } from './words.js';

/** No lines between rows and no colours: easy to read, and to cut into columns. */
const BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
} as const;

type Align = 'left' | 'right';

/** @param columns their titles, those of numbers with a `>` in front */
export function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const made = new Table({
    head: columns.map((title) => title.replace(/^>/, '')),
    colAligns: columns.map((title): Align => (title.startsWith('>') ? 'right' : 'left')),
    chars: BORDERS,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const row of rows) made.push(row.map(printable));
  return `${made
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')}\n`;
}

/** What others named must not move a terminal's cursor. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

/** The same, of several lines. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

const NONE = '-';

function optional(value: number | string | null): string {
  return value === null || value === '' ? NONE : String(value);
}

function listed(words: readonly string[]): string {
  return words.length === 0 ? NONE : words.join(',');
}

export function keyspacesTable(keyspaces: readonly KeyspaceView[]): string {
  if (keyspaces.length === 0) return 'There are no keyspaces.\n';
  return table(
    ['NAME', '>DB', '>SHARDS', '>COPIES', 'TAGS', 'ID'],
    keyspaces.map(({ name, db, shards, replicas, tags, id }) => [
      name,
      optional(db),
      String(shards),
      String(replicas),
      listed(tags),
      id,
    ]),
  );
}

/** Of a store whose shards follow copies elsewhere, whether it has all that those have. */
function lagText({ feeds, feedsLevel, lagMs, state }: StoreView): string {
  if (feeds === 0 || state === 'down') return NONE;
  return feedsLevel === feeds
    ? 'level'
    : `${feeds - feedsLevel} of ${feeds} behind, ${(lagMs / 1000).toFixed(1)} s`;
}

export function storesTable(stores: readonly StoreView[]): string {
  if (stores.length === 0) return 'There are no stores.\n';
  return table(
    ['ADDRESS', 'STATE', 'SEEN', 'ZONE', 'TAGS', '>SHARDS', 'COPIES', '>FREE', '>DISK', 'ID'],
    stores.map((store) => {
      const { address, state, seenMsAgo, zone, tags, shards, freeBytes, totalBytes, id, isDrained } = store;
      return [
        address,
        isDrained ? `${state}, drained` : state,
        seenMsAgo === null ? 'never' : agoText(seenMsAgo),
        optional(zone),
        listed(tags),
        String(shards),
        lagText(store),
        totalBytes === 0 ? NONE : bytesText(freeBytes),
        totalBytes === 0 ? NONE : bytesText(totalBytes),
        id.slice(0, 8),
      ];
    }),
  );
}

function copyText({ state, data }: CopyView): string {
  return state === 'up' ? (data ?? state) : state;
}

export function descriptionText(description: KeyspaceDescription): string {
  const { name, db, id, shards, replicas, tags, keys, bytes, placement, notes } = description;
  const number = db === null ? 'no number' : `number ${db}`;
  const amount =
    keys === null ? '' : `, ${count(keys, 'key')}${bytes === null ? '' : `, ${bytesText(bytes)}`}`;
  const wanted = tags.length === 0 ? '' : `, tags ${tags.join(',')}`;
  const head = `keyspace ${name} (${id}): ${number}, ${count(shards, 'shard')} in ${count(replicas, 'copy', 'copies')}${wanted}${amount}\n\n`;
  const rows = placement.flatMap((shard) =>
    shard.copies.map((copy, index) => [
      index === 0 ? String(shard.shard) : '',
      index === 0 ? String(shard.slots) : '',
      index === 0 ? 'owner' : 'copy',
      copy.address ?? copy.id.slice(0, 8),
      optional(copy.zone),
      index === 0 ? (shard.state ?? copy.state) : copyText(copy),
      index === 0 ? optional(shard.keys) : '',
      index === 0 ? (shard.bytes === null ? NONE : bytesText(shard.bytes)) : '',
    ]),
  );
  const columns = ['>SHARD', '>SLOTS', 'ROLE', 'STORE', 'ZONE', 'STATE', '>KEYS', '>BYTES'];
  const why = notes.map((note) => `- ${printable(note)}\n`).join('');
  return `${printable(head.trimEnd())}\n\n${table(columns, rows)}\n${why}`;
}

export function topologyText({ clusterId, epoch, stores, keyspaces }: TopologyView): string {
  const addresses = new Map(stores.map(({ id, address }) => [id, address]));
  const places = (placement: readonly (readonly string[])[]) => {
    const owners = new Map<string, number[]>();
    for (const [shard, [owner = '']] of placement.entries())
      owners.set(owner, [...(owners.get(owner) ?? []), shard]);
    return [...owners]
      .map(([id, shards]) => `${addresses.get(id) ?? id.slice(0, 8)}: ${ranges(shards)}`)
      .join('; ');
  };
  const changed = epoch === 0 ? '' : ` (${new Date(epoch).toISOString()})`;
  const head = `cluster ${clusterId === '' ? 'without an id yet' : clusterId}, epoch ${epoch}${changed}\n`;
  const storeRows = stores.map(({ address, zone, tags, id }) => [address, optional(zone), listed(tags), id]);
  const keyspaceRows = keyspaces.map(({ name, db, placement }) => [name, optional(db), places(placement)]);
  return [
    head,
    stores.length === 0 ? 'There are no stores.\n' : table(['STORE', 'ZONE', 'TAGS', 'ID'], storeRows),
    keyspaces.length === 0 ? 'There are no keyspaces.\n' : table(['KEYSPACE', '>DB', 'SHARDS'], keyspaceRows),
  ].join('\n');
}

/** `0-3,7`. @param numbers ascending */
export function ranges(numbers: readonly number[]): string {
  const parts: string[] = [];
  for (let start = 0; start < numbers.length; ) {
    let end = start;
    while (numbers[end + 1] === numbers[end]! + 1) end++;
    parts.push(end === start ? String(numbers[start]) : `${numbers[start]}-${numbers[end]}`);
    start = end + 1;
  }
  return parts.join(',');
}
