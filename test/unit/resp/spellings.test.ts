import { expect, it } from 'vitest';
import { topLevelCommands } from '../../../src/commands/table.js';
import { commandOf, NAME_BYTES_MAX } from '../../../src/resp/spellings.js';

const capitalized = (name: string) => name.slice(0, 1).toUpperCase() + name.slice(1);

it('knows every command however it is written, also those that have their place in common', () => {
  for (let round = 0; round < 2; round++)
    for (const command of topLevelCommands())
      for (const written of [command.name, command.name.toUpperCase(), capitalized(command.name)])
        for (let again = 0; again < 2; again++) expect(commandOf(Buffer.from(written))).toBe(command);
});

it('knows nothing else', () => {
  expect(commandOf(Buffer.from('GET'))?.name).toBe('get');
  for (const name of ['', 'G', 'GE', 'GETT', 'GEU', 'get ', '\u00e7et', 'x'.repeat(NAME_BYTES_MAX + 1)])
    expect(commandOf(Buffer.from(name, 'latin1'))).toBeUndefined();
  expect(commandOf(Buffer.from(`GET${'\0'.repeat(1024)}`))).toBeUndefined();
});
