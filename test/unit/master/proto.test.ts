import { expect, it } from 'vitest';
import { prepareMasterMessages } from '../../../src/master/proto.js';
import { preparePeerMessages } from '../../../src/peers/proto.js';

it('the code of all messages can be made ahead of time, one after the other', () => {
  const prepared = [...prepareMasterMessages(), ...preparePeerMessages()];
  for (const name of ['StoreMessage', 'MasterMessage', 'ChangeStatus', 'FollowerMessage', 'SourceMessage'])
    expect(prepared).toContain(`vasto.v1.${name}`);
  expect(new Set(prepared).size).toBe(prepared.length);
  // Calls are no messages.
  expect(prepared).not.toContain('vasto.v1.Master');
});
