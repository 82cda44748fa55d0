import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ReplyWriter } from '../../../src/base/reply-writer.js';
import { DIFFERENCES } from '../../../src/commands/differences.js';
import { commandsPage, helpLines, writeCommandDocs } from '../../../src/commands/documentation.js';
import { commandTable, findCommand } from '../../../src/commands/table.js';

describe('documentation', () => {
  test('docs/COMMANDS.md is up to date: else run node scripts/commands-doc.mjs', () => {
    expect(readFileSync('docs/COMMANDS.md', 'utf8')).toBe(commandsPage(commandTable));
  });

  test('the page names every command once', () => {
    const rows = commandsPage(commandTable)
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    expect(rows.length).toBe(commandTable.length);
  });

  test('differences are of commands that exist', () => {
    const names = new Set(commandTable.map(({ name }) => name));
    expect(Object.keys(DIFFERENCES).filter((name) => !names.has(name))).toEqual([]);
  });

  test('every command says what it does, since when, and at what cost', () => {
    for (const { name, summary, since, complexity } of commandTable) {
      expect(summary, name).toMatch(/^[A-Z].{10,}/);
      expect(since, name).toMatch(/^\d+\.\d+\.\d+$/);
      expect(complexity, name).not.toBe('');
    }
  });

  test('COMMAND DOCS of a command with arguments', () => {
    const reply = new ReplyWriter();
    writeCommandDocs(reply, { ...findCommand('mset')!, summary: 'Writes.', complexity: 'O(N)' });
    expect(reply.written().toString('latin1').replaceAll('\r\n', ' ')).toBe(
      '*10 $7 summary $7 Writes. $5 since $5 1.0.1 $5 group $6 string ' +
        '$10 complexity $4 O(N) $9 arguments *1 *8 $4 name $9 key_value $4 type $5 block ' +
        '$5 flags *1 +multiple $9 arguments *2 *6 $4 name $3 key $4 type $3 key $14 key_spec_index :0 ' +
        '*4 $4 name $5 value $4 type $6 string ',
    );
  });

  test('COMMAND DOCS of a container tells of its subcommands, in RESP3 as maps', () => {
    const reply = new ReplyWriter();
    reply.version = 3;
    const client = findCommand('client')!;
    writeCommandDocs(reply, client);
    const text = reply.written().toString('latin1').replaceAll('\r\n', ' ');
    expect(text).toMatch(/^%5 \$7 summary /);
    expect(text).toContain(`$11 subcommands %${client.children.size} $14 client|caching %5 `);
  });

  test('HELP lists the subcommands with their arguments', () => {
    const lines = helpLines(findCommand('client')!);
    expect(lines[0]).toBe('CLIENT <subcommand> [argument ...], with these subcommands:');
    expect(lines).toContain('PAUSE timeout [WRITE | ALL]');
    expect(lines.length).toBe(1 + 2 * findCommand('client')!.children.size);
  });
});
