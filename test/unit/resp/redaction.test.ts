import { describe, expect, test } from 'vitest';
import { ListArguments } from '../../../src/base/arguments.js';
import { secretArguments } from '../../../src/resp/redaction.js';

describe('arguments that others must not read', () => {
  test.each([
    ['auth', 'AUTH user pass', [1, 2]],
    ['hello', 'HELLO 3 AUTH user pass SETNAME x', [3, 4]],
    ['config|set', 'CONFIG SET hz 1 requirepass p', [5]],
    ['config|set', 'CONFIG SET cluster-secret s tls-key-file-pass p tls-cert-file f', [3, 5]],
    ['config|set', 'CONFIG SET tls-client-key-file-pass p', [3]],
    ['vasto.peer', 'VASTO.PEER cluster keyspace SECRET s STORE id', [4]],
    ['vasto.peer', 'vasto.peer cluster keyspace secret s SECRET s', [4, 6]],
    ['vasto.peer', 'VASTO.PEER cluster keyspace STORE id', []],
    ['get', 'GET SECRET s', []],
  ])('of %s in %j', (name, line, expected) => {
    const args = ListArguments.of(...line.split(' '));
    expect([...secretArguments({ name }, args)]).toEqual(expected);
  });
});
