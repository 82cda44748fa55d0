import { type CommandDefinition, type KeySpecification, oneKey } from './definition.js';
import { addPlaces, distanceBetween, hashesOfPlaces, pointsOfPlaces } from './geo.js';
import { searchPlaces } from './geo-searches.js';

/** What the definitions of geographical commands have in common is added below. */
type GeoDefinition = Omit<CommandDefinition, 'group' | 'runs'>;

const READS = oneKey('RO', 'access');

/** The first key is written, with what is found in the second. */
const STORES_SEARCH: readonly KeySpecification[] = [
  { first: 1, last: 1, step: 1, flags: ['OW', 'update'] },
  { first: 2, last: 2, step: 1, flags: ['RO', 'access'] },
];

/** The first key is read; those that options name from argument `first` on are written. */
function storesBehind(first: number): readonly KeySpecification[] {
  return [
    ...READS,
    { first, last: first, step: 1, flags: ['OW', 'update'], keyword: 'STORE' },
    { first, last: first, step: 1, flags: ['OW', 'update'], keyword: 'STOREDIST' },
  ];
}

const GEO_COMMANDS: readonly GeoDefinition[] = [
  {
    name: 'geoadd',
    arity: -5,
    flags: ['write', 'denyoom'],
    keys: oneKey('RW', 'update'),
    since: '3.2.0',
    summary:
      'Puts places on the map as members of a sorted set; replies how many are new, with CH how many have changed',
    complexity: 'O(N*log(M)) for N places added to a set of M',
    syntax: 'key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]',
    run: addPlaces,
  },
  {
    name: 'geodist',
    arity: -4,
    flags: ['readonly'],
    keys: READS,
    since: '3.2.0',
    summary: 'Tells the distance between two places',
    complexity: 'O(1)',
    syntax: 'key member1 member2 [M | KM | FT | MI]',
    run: distanceBetween,
  },
  {
    name: 'geohash',
    arity: -2,
    flags: ['readonly'],
    keys: READS,
    since: '3.2.0',
    summary: 'Gets the standard geohashes of places, nil for each that is not there',
    complexity: 'O(N) for N members',
    syntax: 'key [member [member ...]]',
    run: hashesOfPlaces,
  },
  {
    name: 'geopos',
    arity: -2,
    flags: ['readonly'],
    keys: READS,
    since: '3.2.0',
    summary: 'Gets longitude and latitude of places, nil for each that is not there',
    complexity: 'O(N) for N members',
    syntax: 'key [member [member ...]]',
    run: pointsOfPlaces,
  },
  {
    name: 'geosearch',
    arity: -7,
    flags: ['readonly'],
    keys: READS,
    since: '6.2.0',
    summary: 'Gets the places within a circle or a box',
    complexity: 'O(N+log(M)) for N places in cells that the shape touches, of a set of M',
    syntax:
      'key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]',
    run: searchPlaces({ command: 'geosearch', storesByOption: false }),
  },
  {
    name: 'geosearchstore',
    arity: -8,
    flags: ['write', 'denyoom'],
    keys: STORES_SEARCH,
    since: '6.2.0',
    summary: 'Stores the places within a circle or a box; replies how many',
    complexity: 'O(N+log(M)) for N places in cells that the shape touches, of a set of M',
    syntax:
      'destination source <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]',
    run: searchPlaces({ command: 'geosearchstore', storesByOption: false }),
  },
  {
    name: 'georadius',
    arity: -6,
    flags: ['write', 'denyoom'],
    keys: storesBehind(6),
    since: '3.2.0',
    summary: 'Gets, or stores, the places within a circle around a point',
    complexity: 'O(N+log(M)) for N places in cells that the shape touches, of a set of M',
    syntax:
      'key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] [STORE destination | STOREDIST destination]',
    run: searchPlaces({ command: 'georadius', storesByOption: true }),
  },
  {
    name: 'georadius_ro',
    arity: -6,
    flags: ['readonly'],
    keys: READS,
    since: '3.2.10',
    summary: 'Gets the places within a circle around a point',
    complexity: 'O(N+log(M)) for N places in cells that the shape touches, of a set of M',
    syntax:
      'key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]',
    run: searchPlaces({ command: 'georadius', storesByOption: false }),
  },
  {
    name: 'georadiusbymember',
    arity: -5,
    flags: ['write', 'denyoom'],
    keys: storesBehind(5),
    since: '3.2.0',
    summary: 'Gets, or stores, the places within a circle around another',
    complexity: 'O(N+log(M)) for N places in cells that the shape touches, of a set of M',
    syntax:
      'key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] [STORE destination | STOREDIST destination]',
    run: searchPlaces({ command: 'georadiusbymember', storesByOption: true }),
  },
  {
    name: 'georadiusbymember_ro',
    arity: -5,
    flags: ['readonly'],
    keys: READS,
    since: '3.2.10',
    summary: 'Gets the places within a circle around another',
    complexity: 'O(N+log(M)) for N places in cells that the shape touches, of a set of M',
    syntax:
      'key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]',
    run: searchPlaces({ command: 'georadiusbymember', storesByOption: false }),
  },
];

export const geoCommands: readonly CommandDefinition[] = GEO_COMMANDS.map((definition) => ({
  ...definition,
  group: 'geo',
  runs: 'shard',
}));
