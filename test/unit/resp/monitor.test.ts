import { describe, expect, test } from 'vitest';
import { monitorLine } from '../../../src/resp/monitor.js';

describe('the lines of MONITOR', () => {
  test('time, database, address, arguments', () => {
    expect(monitorLine(1339518083107412, 0, '127.0.0.1:60866', ['keys', '*'])).toBe(
      '+1339518083.107412 [0 127.0.0.1:60866] "keys" "*"\r\n',
    );
    expect(monitorLine(1339518083000007, 15, '[::1]:60866', ['get', ''])).toBe(
      '+1339518083.000007 [15 [::1]:60866] "get" ""\r\n',
    );
  });

  test('connections to the socket file', () => {
    expect(monitorLine(1000000, 0, '/tmp/vasto.sock:0', ['ping'])).toBe(
      '+1.000000 [0 unix:/tmp/vasto.sock] "ping"\r\n',
    );
  });

  test('stays on one line of ASCII', () => {
    const line = monitorLine(0, 0, 'a:1', ['"\\', '\n\r\t\x07\b', '\0\x1f\x7f\xe9\xff', ' ~!']);
    expect(line).toBe('+0.000000 [0 a:1] "\\"\\\\" "\\n\\r\\t\\a\\b" "\\x00\\x1f\\x7f\\xe9\\xff" " ~!"\r\n');
  });
});
