#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { run } from './cli/program.js';
import { serveServer } from './roles/server.js';

const STANDARD_INPUT = 0;

const exitCode = await run(
  process.argv.slice(2),
  {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    readInput: () => readFileSync(STANDARD_INPUT, 'utf8'),
  },
  { server: serveServer },
).catch((error: Error) => {
  process.stderr.write(`vasto: ${error.message}\n`);
  return 1;
});
if (exitCode !== undefined) process.exitCode = exitCode;
