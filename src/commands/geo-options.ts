import type { Arguments } from '../base/arguments.js';
import { CommandError, NOT_A_FLOAT, NOT_AN_INTEGER, quotable, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import type { SortedSetValue } from '../types/collections/sorted-set.js';
import { decodeGeoScore, type GeoPoint, type GeoShape, isOnMap, quotePoint } from '../types/geohash.js';
import { parseScore } from '../types/score.js';

/** Arguments of geographical commands: points, distances, and all the options of searches. */

const UNSUPPORTED_UNIT = new CommandError('ERR unsupported unit provided. please use M, KM, FT, MI');
const NEGATIVE_RADIUS = new CommandError('ERR radius cannot be negative');
const NEGATIVE_SIDE = new CommandError('ERR height or width cannot be negative');
const NO_MEMBER = new CommandError('ERR could not decode requested zset member');
const NO_COUNT = new CommandError('ERR COUNT must be > 0');
const ANY_WITHOUT_COUNT = new CommandError('ERR the ANY argument requires COUNT argument');

/** Metres in a unit. */
const UNITS: Readonly<Record<string, number>> = { M: 1, KM: 1000, FT: 0.3048, MI: 1609.34 };

export function parseUnit(args: Arguments, index: number): number | CommandError {
  return UNITS[args.token(index)] ?? UNSUPPORTED_UNIT;
}

/** Reads longitude and latitude, the first of which is at `index`. */
export function parsePoint(args: Arguments, index: number): GeoPoint | CommandError {
  const [longitude, latitude] = [parseScore(args.text(index)), parseScore(args.text(index + 1))];
  if (longitude === undefined || latitude === undefined) return NOT_A_FLOAT;
  const point = { longitude, latitude };
  if (isOnMap(point)) return point;
  return new CommandError(`ERR invalid longitude,latitude pair ${quotePoint(point)}`);
}

/** What is searched, around a centre that is told elsewhere. */
type Extent =
  | { readonly kind: 'circle'; readonly radiusMeters: number; readonly unitMeters: number }
  | {
      readonly kind: 'box';
      readonly widthMeters: number;
      readonly heightMeters: number;
      readonly unitMeters: number;
    };

function parseLength(args: Arguments, index: number, name: string): number | CommandError {
  return parseScore(args.text(index)) ?? new CommandError(`ERR need numeric ${name}`);
}

/** Reads a radius and its unit. */
function parseCircle(args: Arguments, index: number): Extent | CommandError {
  const radius = parseLength(args, index, 'radius');
  if (radius instanceof CommandError) return radius;
  if (radius < 0) return NEGATIVE_RADIUS;
  const unitMeters = parseUnit(args, index + 1);
  if (unitMeters instanceof CommandError) return unitMeters;
  return { kind: 'circle', radiusMeters: radius * unitMeters, unitMeters };
}

/** Reads width, height, and their unit. */
function parseBox(args: Arguments, index: number): Extent | CommandError {
  const width = parseLength(args, index, 'width');
  if (width instanceof CommandError) return width;
  const height = parseLength(args, index + 1, 'height');
  if (height instanceof CommandError) return height;
  if (width < 0 || height < 0) return NEGATIVE_SIDE;
  const unitMeters = parseUnit(args, index + 2);
  if (unitMeters instanceof CommandError) return unitMeters;
  return { kind: 'box', widthMeters: width * unitMeters, heightMeters: height * unitMeters, unitMeters };
}

/** What a command of searching is by its name. */
export interface SearchForm {
  /** In words of errors: the name as the client wrote it is added where Redis does. */
  readonly command: 'geosearch' | 'geosearchstore' | 'georadius' | 'georadiusbymember';
  /** Whether STORE and STOREDIST are options. */
  readonly storesByOption: boolean;
}

export interface GeoSearch {
  /** Undefined where there is no key to be searched. */
  readonly shape: GeoShape | undefined;
  /** What distances are replied in. */
  readonly unitMeters: number;
  readonly withDistance: boolean;
  readonly withHash: boolean;
  readonly withPoint: boolean;
  readonly order: 'none' | 'nearest' | 'farthest';
  /** 0 = all. */
  readonly count: number;
  /** Whether any `count` will do, not the nearest. */
  readonly any: boolean;
  /** Where results are stored; undefined where they are replied. */
  readonly destination: string | undefined;
  readonly storesDistances: boolean;
}

/** Reads the arguments of one search. They are checked in the order in which they come, as in Redis. */
export class SearchParser {
  private center: GeoPoint | undefined;
  /** Whether a member is named as the centre, though it may not be there. */
  private fromMember = false;
  private fromPoint = false;
  private extent: Extent | undefined;
  private withDistance = false;
  private withHash = false;
  private withPoint = false;
  private order: GeoSearch['order'] = 'none';
  private count = 0;
  private any = false;
  private destination: string | undefined;
  private storesDistances = false;
  private readonly isSearch: boolean;

  /** @param set what is searched; undefined where there is no key */
  constructor(
    private readonly args: Arguments,
    private readonly set: SortedSetValue | undefined,
    private readonly form: SearchForm,
  ) {
    this.isSearch = form.command === 'geosearch' || form.command === 'geosearchstore';
  }

  parse(): GeoSearch | CommandError {
    const error = this.parseFixed() ?? this.parseOptions() ?? this.conflict();
    if (error !== undefined) return error;
    const { center, extent, withDistance, withHash, withPoint, order, count, any } = this;
    return {
      shape: center && extent && { center, ...extent },
      unitMeters: extent?.unitMeters ?? 1,
      withDistance,
      withHash,
      withPoint,
      // The nearest ones can be told only when all are in order.
      order: order === 'none' && count > 0 && !any ? 'nearest' : order,
      count,
      any,
      destination: this.destination,
      storesDistances: this.storesDistances,
    };
  }

  private get firstOption(): number {
    return { geosearch: 2, geosearchstore: 3, georadius: 6, georadiusbymember: 5 }[this.form.command];
  }

  /** Arguments that have their place. */
  private parseFixed(): CommandError | undefined {
    const { args, form } = this;
    if (form.command === 'geosearchstore') this.destination = args.text(1);
    if (this.isSearch) return undefined;
    if (form.command === 'georadius') {
      const point = parsePoint(args, 2);
      if (point instanceof CommandError) return point;
      this.center = point;
    } else {
      // As in Redis: what cannot be searched need not be read.
      if (this.set === undefined) return undefined;
      const error = this.centerOn(2);
      if (error !== undefined) return error;
    }
    return this.extendTo(parseCircle(args, this.firstOption - 2));
  }

  private extendTo(extent: Extent | CommandError): CommandError | undefined {
    if (extent instanceof CommandError) return extent;
    this.extent = extent;
    return undefined;
  }

  private centerOn(index: number): CommandError | undefined {
    this.fromMember = true;
    if (this.set === undefined) return undefined;
    const score = this.set.score(this.args.text(index));
    if (score === undefined) return NO_MEMBER;
    this.center = decodeGeoScore(score);
    return undefined;
  }

  private parseOptions(): CommandError | undefined {
    for (let index = this.firstOption; index < this.args.count; ) {
      const taken = this.parseFlag(index) ?? this.parseWhere(index) ?? this.parseStore(index);
      if (taken === undefined) return SYNTAX_ERROR;
      if (taken instanceof CommandError) return taken;
      index += taken;
    }
    return undefined;
  }

  /** @returns how many arguments it took; undefined if the option is another one */
  private parseFlag(index: number): number | undefined | CommandError {
    const { args } = this;
    switch (args.token(index)) {
      case 'WITHDIST':
        this.withDistance = true;
        return 1;
      case 'WITHHASH':
        this.withHash = true;
        return 1;
      case 'WITHCOORD':
        this.withPoint = true;
        return 1;
      case 'ANY':
        this.any = true;
        return 1;
      case 'ASC':
        this.order = 'nearest';
        return 1;
      case 'DESC':
        this.order = 'farthest';
        return 1;
      case 'COUNT': {
        if (index + 1 >= args.count) return undefined;
        const count = parseInteger(args.text(index + 1));
        if (count === undefined) return NOT_AN_INTEGER;
        if (count <= 0) return NO_COUNT;
        this.count = count;
        return 2;
      }
      default:
        return undefined;
    }
  }

  /** Centre and extent of GEOSEARCH. */
  private parseWhere(index: number): number | undefined | CommandError {
    if (!this.isSearch) return undefined;
    const { args } = this;
    const left = args.count - index - 1;
    const token = args.token(index);
    if (token === 'FROMMEMBER' && left >= 1 && !this.fromPoint) return this.centerOn(index + 1) ?? 2;
    if (token === 'FROMLONLAT' && left >= 2 && !this.fromMember) {
      const point = parsePoint(args, index + 1);
      if (point instanceof CommandError) return point;
      this.center = point;
      this.fromPoint = true;
      return 3;
    }
    const kind = this.extent?.kind;
    if (token === 'BYRADIUS' && left >= 2 && kind !== 'box')
      return this.extendTo(parseCircle(args, index + 1)) ?? 3;
    if (token === 'BYBOX' && left >= 3 && kind !== 'circle')
      return this.extendTo(parseBox(args, index + 1)) ?? 4;
    return undefined;
  }

  private parseStore(index: number): number | undefined {
    const { args, form } = this;
    const token = args.token(index);
    if (form.command === 'geosearchstore' && token === 'STOREDIST') {
      this.storesDistances = true;
      return 1;
    }
    if (!form.storesByOption || index + 1 >= args.count) return undefined;
    if (token !== 'STORE' && token !== 'STOREDIST') return undefined;
    this.destination = args.text(index + 1);
    this.storesDistances = token === 'STOREDIST';
    return 2;
  }

  private conflict(): CommandError | undefined {
    const { withDistance, withHash, withPoint, isSearch } = this;
    if (this.destination !== undefined && (withDistance || withHash || withPoint)) {
      const what = isSearch ? 'GEOSEARCHSTORE' : 'STORE option in GEORADIUS';
      return new CommandError(`ERR ${what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options`);
    }
    const name = quotable(this.args.text(0));
    if (isSearch && !this.fromMember && !this.fromPoint)
      return new CommandError(`ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ${name}`);
    if (isSearch && this.extent === undefined)
      return new CommandError(`ERR exactly one of BYRADIUS and BYBOX can be specified for ${name}`);
    return this.any && this.count === 0 ? ANY_WITHOUT_COUNT : undefined;
  }
}
