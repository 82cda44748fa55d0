import { expect, it } from 'vitest';
import { temporaryDir } from '../../support/environment.js';
import { runScript } from './child.js';

// `GET nope`, then `MGET "" other` on cold keys reaches this through the executor's prefetch, and ends the node.
it('an empty key among many does not abort the process', async () => {
  const script = `const database = await Database.open(${JSON.stringify(temporaryDir())});
    console.log(database.getMany('default', [Buffer.from('a'), Buffer.alloc(0)]).length);`;
  const { signal, stdout } = await runScript('workers/rocksdb.ts', script);
  expect({ signal, stdout }).toEqual({ signal: null, stdout: '2\n' });
});

it('closing within iterate is refused and does not abort the process', async () => {
  const script = `const database = await Database.open(${JSON.stringify(temporaryDir())});
    for (let key = 0; key < 2000; key++) database.put('default', Buffer.from(String(key)), Buffer.from(''));
    database.commit(false);
    try { database.iterate({ family: 'default', values: true }, () => { void database.close().catch(() => {}); return true; }); }
    catch (error) { console.log(error.code); }`;
  const { signal } = await runScript('workers/rocksdb.ts', script);
  expect(signal).toBeNull();
});
