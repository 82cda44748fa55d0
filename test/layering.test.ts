import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const SOURCE = fileURLToPath(new URL('../src/', import.meta.url));

/**
 * What the files of each folder may import from: base ← types ← commands ← workers ← node ← resp ← roles ← main, with
 * cluster beside workers, master on cluster, peers on master, whose gRPC they share, and metrics on all that it tells of.
 */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  base: ['base'],
  types: ['base', 'types'],
  commands: ['base', 'types', 'commands'],
  workers: ['base', 'types', 'commands', 'workers'],
  cluster: ['base', 'types', 'commands', 'cluster'],
  master: ['base', 'cluster', 'master'],
  peers: ['base', 'types', 'cluster', 'master', 'peers'],
  node: ['base', 'types', 'commands', 'workers', 'cluster', 'node'],
  resp: ['base', 'types', 'commands', 'workers', 'cluster', 'node', 'resp'],
  metrics: ['base', 'workers', 'cluster', 'master', 'node', 'resp', 'metrics'],
  cli: ['base', 'types', 'cluster', 'master', 'cli'],
  roles: [
    'base',
    'types',
    'commands',
    'workers',
    'cluster',
    'master',
    'peers',
    'node',
    'resp',
    'metrics',
    'roles',
  ],
  main: ['base', 'cli', 'roles', 'resp'],
};

/** Files of base/ that touch the world: all others there, types/ and commands/ are pure. */
const IMPURE_BASE = new Set(['base/config.ts', 'base/directives.ts', 'base/files.ts', 'base/logger.ts']);

/** Packages, and who uses them. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  pino: ['base'],
  'pino-pretty': ['base'],
  rocksdb: ['workers'],
  piscina: ['workers'],
  'redis-parser': ['resp'],
  'hdr-histogram-js': ['resp', 'cli'],
  commander: ['cli'],
  'cli-table3': ['cli'],
  'cli-progress': ['cli'],
  '@grpc/grpc-js': ['master', 'peers'],
  '@grpc/proto-loader': ['master', 'peers'],
  ioredis: ['cli'],
  'prom-client': ['metrics'],
};

/**
 * What today's tree does against the rules, as `importer -> imported`, with the reason. Nothing may be added without
 * one, and what does not hold any more must go.
 */
const EXCEPTIONS: Readonly<Record<string, string>> = {};

/** Value imports that close a cycle today, as `importer -> imported`; `*` stands for any name. */
const CYCLES_KNOWN: Readonly<Record<string, string>> = {
  'resp/front/* -> resp/front/handlers.ts':
    'now and inTurn, which make a handler, stand beside the table of all handlers',
  'resp/front-step.ts -> resp/front/handlers.ts': 'EXEC runs handlers of the front, and is one',
};

interface Import {
  readonly file: string;
  /** A path below src/, or a module's name. */
  readonly imported: string;
  readonly typeOnly: boolean;
}

const files = (readdirSync(SOURCE, { recursive: true }) as string[])
  .filter((file) => file.endsWith('.ts'))
  .sort();
const STATEMENT = /^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm;
const INLINE = /\bimport\('([^']+)'\)/g;

function importsOf(file: string): Import[] {
  const text = readFileSync(join(SOURCE, file), 'utf8');
  // A declaration file has types only.
  const declares = file.endsWith('.d.ts');
  const resolve = (name: string) =>
    name.startsWith('.') ? normalize(join(dirname(file), name)).replace(/\.js$/, '.ts') : name;
  return [
    ...[...text.matchAll(STATEMENT)].map((match) => ({
      file,
      imported: resolve(match[2]!),
      typeOnly: declares || match[1] !== undefined,
    })),
    ...[...text.matchAll(INLINE)].map((match) => ({ file, imported: resolve(match[1]!), typeOnly: true })),
  ];
}

const imports = files.flatMap(importsOf);
const local = imports.filter(({ imported }) => imported.endsWith('.ts'));
const foreign = imports.filter(({ imported }) => !imported.endsWith('.ts'));
const layerOf = (file: string) =>
  file.includes('/') ? file.slice(0, file.indexOf('/')) : file.replace(/\.ts$/, '');
const isPure = (file: string) =>
  !file.endsWith('.d.ts') && /^(base|types|commands)\//.test(file) && !IMPURE_BASE.has(file);

/** Those that break a rule, but for the exceptions. */
function violations(broken: readonly Import[]): string[] {
  return broken
    .map(({ file, imported }) => `${file} -> ${imported}`)
    .filter((line) => EXCEPTIONS[line] === undefined);
}

/** Whether an import is one of those that a pattern of CYCLES_KNOWN names. */
function isNamed(pattern: string, { file, imported }: Import): boolean {
  const text = pattern.replace(/[.]/g, '\\.').replace('*', '[^/]*');
  return new RegExp(`^${text}$`).test(`${file} -> ${imported}`);
}

/** Files that can reach themselves by value imports, grouped: each group is a knot of cycles (Tarjan). */
function knots(ignored: readonly string[]): string[][] {
  const edges = new Map(files.map((file) => [file, [] as string[]]));
  for (const each of local)
    if (!each.typeOnly && !ignored.some((pattern) => isNamed(pattern, each)))
      edges.get(each.file)?.push(each.imported);
  const found: string[][] = [];
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const visit = (file: string): void => {
    order.set(file, order.size);
    low.set(file, order.get(file)!);
    stack.push(file);
    for (const next of edges.get(file) ?? []) {
      if (!order.has(next)) visit(next);
      if (stack.includes(next)) low.set(file, Math.min(low.get(file)!, low.get(next)!));
    }
    if (low.get(file) !== order.get(file)) return;
    const knot = stack.splice(stack.indexOf(file)).sort();
    if (knot.length > 1 || edges.get(file)!.includes(file)) found.push(knot);
  };
  for (const file of files) if (!order.has(file)) visit(file);
  return found;
}

/** A file that is longer has two subjects. */
const LINES_MAX = 500;

it('files of src/ have at most 500 lines', () => {
  const linesOf = (file: string) => readFileSync(join(SOURCE, file), 'utf8').trimEnd().split('\n').length;
  expect(files.filter((file) => linesOf(file) > LINES_MAX)).toEqual([]);
});

describe('the layers of src/', () => {
  it('are all known', () => {
    expect(files.length).toBeGreaterThan(40);
    expect([...new Set(files.map(layerOf))].filter((layer) => LAYERS[layer] === undefined)).toEqual([]);
  });

  it('have imports that lead to files', () => {
    const known = new Set(files);
    expect(local.filter(({ imported }) => !known.has(imported))).toEqual([]);
  });

  it('import one way', () => {
    const broken = local.filter(({ file, imported }) => !LAYERS[layerOf(file)]!.includes(layerOf(imported)));
    expect(violations(broken)).toEqual([]);
  });

  it('know sockets only where they are meant to', () => {
    const broken = foreign.filter(
      ({ file, imported }) =>
        /^node:(net|tls|http2?|https|dgram)$/.test(imported) &&
        // cluster/tls-* make the settings of TLS that all of these share; cluster/listening opens ports for them.
        !/^(resp|cli|main|master|metrics|roles|cluster\/(links|tls|listening))\b/.test(file),
    );
    expect(violations(broken)).toEqual([]);
  });

  it('are pure where they say so: no module of Node but node:buffer, no package', () => {
    const broken = foreign.filter(({ file, imported }) => isPure(file) && imported !== 'node:buffer');
    expect(violations(broken)).toEqual([]);
    const impure = new Set(
      foreign.filter(({ imported }) => imported !== 'node:buffer').map(({ file }) => file),
    );
    const wrongly = [...IMPURE_BASE].filter((file) => files.includes(file) && !impure.has(file));
    expect(wrongly).toEqual([]);
  });

  it('use packages where they are meant to be used', () => {
    const broken = foreign.filter(({ file, imported }) => {
      if (imported.startsWith('node:')) return false;
      const name = Object.keys(PACKAGES).find((each) => imported === each || imported.startsWith(`${each}/`));
      return name === undefined || !PACKAGES[name]!.includes(layerOf(file));
    });
    expect(violations(broken)).toEqual([]);
  });

  it('name the modules of Node with node:', () => {
    expect(
      foreign.filter(({ imported }) =>
        /^(fs|path|net|os|buffer|events|crypto|util|stream)(\/|$)/.test(imported),
      ),
    ).toEqual([]);
  });

  it('have no cycles but those known', () => {
    const known = Object.keys(CYCLES_KNOWN);
    expect(knots(known)).toEqual([]);
    // What closes no cycle any more must go from the list.
    for (const pattern of known)
      expect([pattern, knots(known.filter((each) => each !== pattern))]).not.toEqual([pattern, []]);
  });

  it('have no exception that is not needed', () => {
    const all = new Set(imports.map(({ file, imported }) => `${file} -> ${imported}`));
    expect(Object.keys(EXCEPTIONS).filter((line) => !all.has(line))).toEqual([]);
  });
});
