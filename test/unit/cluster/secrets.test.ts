import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Config } from '../../../src/base/config.js';
import { NodeSecrets, readSecrets } from '../../../src/cluster/secrets.js';
import { temporaryDir } from '../../support/environment.js';

const ofText = (text: string) => Config.load({ text });

describe('what nodes know each other by', () => {
  it('is cluster-secret, else the file, else the password, else nothing', () => {
    const file = join(temporaryDir(), 'secret');
    writeFileSync(file, 'from file\n\nold one \n');
    const from = (text: string) => readSecrets(ofText(text).values);
    expect(from('')).toEqual([]);
    expect(from('requirepass pass')).toEqual(['pass']);
    expect(from(`requirepass pass\ncluster-secret-file ${file}`)).toEqual(['from file', 'old one']);
    expect(from(`cluster-secret mine\ncluster-secret-file ${file}`)).toEqual([
      'mine',
      'from file',
      'old one',
    ]);
  });

  it('must be readable', () => {
    const file = join(temporaryDir(), 'secret');
    const read = () => NodeSecrets.of(ofText(`cluster-secret-file ${file}`));
    expect(read).toThrow(`cannot read cluster-secret-file ${file}: ENOENT`);
    writeFileSync(file, '\n\n');
    expect(read).toThrow(`cluster-secret-file ${file} is empty: its first line is the secret`);
  });

  it('is accepted whichever it is, and nothing else is', () => {
    const secrets = new NodeSecrets(['new', 'älter']);
    expect(secrets.areNeeded).toBe(true);
    expect(secrets.shown).toBe('new');
    for (const good of ['new', 'älter']) expect(secrets.accepts(good)).toBe(true);
    for (const bad of [undefined, '', 'ne', 'new ', 'New', 'newälter'])
      expect(secrets.accepts(bad)).toBe(false);
  });

  it('without any, all are accepted, and there is none to show', () => {
    const secrets = new NodeSecrets([]);
    expect([secrets.areNeeded, secrets.shown, secrets.accepts(undefined)]).toEqual([false, undefined, true]);
  });

  it('follows CONFIG SET, which reads the file again; a file that cannot be read changes nothing', () => {
    const file = join(temporaryDir(), 'secret');
    writeFileSync(file, 'one');
    const config = ofText(`cluster-secret-file ${file}`);
    const secrets = NodeSecrets.of(config);
    writeFileSync(file, 'two\none');
    expect(secrets.shown).toBe('one');
    expect(config.set([['cluster-secret-file', file]])).toBeUndefined();
    expect(secrets.shown).toBe('two');
    expect(secrets.accepts('one')).toBe(true);
    expect(config.set([['cluster-secret-file', '/none']])).toMatch(/cannot read cluster-secret-file \/none/);
    expect(secrets.shown).toBe('two');
    expect(config.set([['cluster-secret', 'three']])).toBeUndefined();
    expect(secrets.shown).toBe('three');
    expect(secrets.accepts('two')).toBe(true);
  });

  it('is not told by CONFIG GET, nor lost by CONFIG REWRITE', () => {
    const file = join(temporaryDir(), 'vasto.conf');
    writeFileSync(file, 'cluster-secret abc\n');
    const config = Config.load({ file });
    expect(config.get(['cluster-secret'])).toEqual([['cluster-secret', '(hidden)']]);
    expect(config.get(['*']).flat()).not.toContain('abc');
    expect(config.set([['cluster-secret', 'x y']])).toBeUndefined();
    expect(config.rewrite()).toBeUndefined();
    expect(Config.load({ file }).values['cluster-secret']).toBe('x y');
    expect(ofText('').get(['cluster-secret'])).toEqual([['cluster-secret', '']]);
  });

  it('stays out of messages about it', () => {
    expect(() => ofText('cluster-secret top secret')).toThrow(/cluster-secret \(hidden\): wrong number/);
  });
});
