/** What a scrape says: value by name and labels, as `name` or `name{a="b",c="d"}`. */
export type Scraped = ReadonlyMap<string, number>;

const SAMPLE = /^([a-z_]+)(\{[^\n]*\})? (\S+)$/;

/** Reads the text format of Prometheus, strictly: each value belongs to the family whose HELP and TYPE precede it. */
export function parseMetrics(text: string): Scraped {
  const values = new Map<string, number>();
  const families = new Set<string>();
  let family = '';
  let type = '';
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  for (const line of text.split('\n')) {
    const [, word, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (word === 'HELP') {
      if (families.has(name)) throw new Error(`${name} is there twice`);
      families.add(name);
      family = name;
    } else if (word === 'TYPE') {
      if (name !== family) throw new Error(`${line} does not follow its HELP`);
      type = rest;
    } else if (line !== '') {
      const [, sample = '', labels = '', value] = SAMPLE.exec(line) ?? [];
      const base = type === 'histogram' ? sample.replace(/_(bucket|sum|count)$/, '') : sample;
      if (base !== family) throw new Error(`not a value of ${family}: ${line}`);
      if (values.has(sample + labels)) throw new Error(`${line} is there twice`);
      values.set(sample + labels, Number(value));
    }
  }
  return values;
}

/** Asks a process of this machine. */
export async function scrape(port: number): Promise<Scraped> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`status ${response.status}: ${text}`);
  return parseMetrics(text);
}
