// Writes docs/COMMANDS.md from the command table; run after the build. `VASTO_DIST` names another build's folder.
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const dist = resolve(process.env.VASTO_DIST ?? 'dist');
const load = (path) => import(pathToFileURL(resolve(dist, path)).href);
const { commandTable } = await load('commands/table.js');
const { commandsPage } = await load('commands/documentation.js');
writeFileSync('docs/COMMANDS.md', commandsPage(commandTable));
