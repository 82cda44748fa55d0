import { describe, expect, it, vi } from 'vitest';
import { type KeyspaceRequest, ManagerError } from '../../../src/cluster/manager.js';
import { EMPTY_TOPOLOGY, type KeyspaceEntry } from '../../../src/cluster/topology.js';
import type { MasterClient } from '../../../src/master/client.js';
import { RemoteManager, type Standing } from '../../../src/master/remote-manager.js';

const ENTRY = { name: 'db3' } as KeyspaceEntry;
const REQUEST: KeyspaceRequest = { name: 'db3', db: 3, shards: 1, replicas: 1, tags: [] };
const LONG_AGO_MS = 60_000;

/** A manager with a client that answers with these, one after the other. */
function managed(standing: Partial<Standing>, answers: (KeyspaceEntry | ManagerError)[] = []) {
  const client = {
    problem: '',
    awaySinceMs: undefined as number | undefined,
    asked: 0,
    createKeyspace: async () => {
      client.asked++;
      const answer = answers.shift() ?? ENTRY;
      if (answer instanceof ManagerError) throw answer;
      return answer;
    },
  };
  const state = { connected: true, refusal: '', ...standing };
  const manager = new RemoteManager(client as unknown as MasterClient, state, () => EMPTY_TOPOLOGY);
  return { client, state, manager };
}

const lost = () => new ManagerError('UNAVAILABLE', 'the connection broke');
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => 'none',
    (error: ManagerError) => `${error.code} ${error.message}`,
  );

describe('the master of a node, in another process', () => {
  it.each([true, false])(
    'is asked nothing when it has refused the node, connected: %s',
    async (connected) => {
      const { client, manager } = managed({ connected, refusal: 'it belongs to another cluster' });
      expect(await failure(manager.createKeyspace(REQUEST))).toBe(
        "IMPOSSIBLE the master is not this node's: it belongs to another cluster",
      );
      expect(client.asked).toBe(0);
    },
  );

  it('is waited for while the node is not taken in', async () => {
    const { client, state, manager } = managed({ connected: false });
    const creating = manager.createKeyspace(REQUEST);
    setTimeout(() => {
      expect(client.asked).toBe(0);
      state.connected = true;
    }, 50);
    expect(await creating).toBe(ENTRY);
  });

  it('is not waited for long when it has been away for long', async () => {
    const { client, manager } = managed({ connected: false });
    client.awaySinceMs = performance.now() - LONG_AGO_MS;
    client.problem = 'no master can be reached';
    expect(await failure(manager.createKeyspace(REQUEST))).toBe('UNAVAILABLE no master can be reached');
    expect(client.asked).toBe(0);
  });

  it('is not waited for any longer where the clock is set back meanwhile', async () => {
    const { client, manager } = managed({ connected: false });
    client.awaySinceMs = performance.now() - LONG_AGO_MS;
    const creating = failure(manager.createKeyspace(REQUEST));
    const { now } = Date;
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() - 3_600_000);
    expect(await creating).toBe('UNAVAILABLE the master has not taken this node in yet');
    clock.mockRestore();
  }, 5000);

  it('is asked again for what may be there already, and for nothing else', async () => {
    const again = managed({}, [lost(), lost(), ENTRY]);
    expect(await again.manager.createKeyspace({ ...REQUEST, mayExist: true })).toBe(ENTRY);
    expect(again.client.asked).toBe(3);
    const once = managed({}, [lost()]);
    expect(await failure(once.manager.createKeyspace(REQUEST))).toBe('UNAVAILABLE the connection broke');
    expect(once.client.asked).toBe(1);
    const refused = managed({}, [new ManagerError('IMPOSSIBLE', 'no store')]);
    expect(await failure(refused.manager.createKeyspace({ ...REQUEST, mayExist: true }))).toBe(
      'IMPOSSIBLE no store',
    );
  });
});
