import { describe, expect, test } from 'vitest';
import { setInfo, setName } from '../../../../src/resp/front/client-attributes.js';
import { Session } from '../../../../src/resp/session.js';

describe('what a connection says of itself', () => {
  test.each(['a b', 'a\n', '\x7f', '\xe9', ' '])('SETNAME refuses %j', (name) => {
    const session = new Session(1);
    expect(setName(session, name)?.text).toBe(
      'ERR Client names cannot contain spaces, newlines or special characters.',
    );
    expect(session.name).toBe('');
  });

  test('SETNAME takes printable ASCII, and nothing', () => {
    const session = new Session(1);
    expect(setName(session, '!~aZ')).toBeUndefined();
    expect(session.name).toBe('!~aZ');
    setName(session, '');
    expect(session.name).toBe('');
  });

  test('SETINFO', () => {
    const session = new Session(1);
    expect(setInfo(session, 'LIB-NAME', 'lib(a)')).toBeUndefined();
    expect(setInfo(session, 'lib-ver', '1.2')).toBeUndefined();
    expect(session).toMatchObject({ libraryName: 'lib(a)', libraryVersion: '1.2' });
    expect(setInfo(session, 'lib-name', 'a b')?.text).toBe(
      'ERR lib-name cannot contain spaces, newlines or special characters.',
    );
    expect(setInfo(session, 'Lib-X', 'a')?.text).toBe("ERR Unrecognized option 'Lib-X'");
  });
});
