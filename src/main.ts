#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { run } from './cli/program.js';
import { serveGateway } from './roles/gateway.js';
import { serveMaster } from './roles/master.js';
import { serveServer } from './roles/server.js';
import { serveStore } from './roles/store.js';

const STANDARD_INPUT = 0;

const exitCode = await run(
  process.argv.slice(2),
  {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    readInput: () => readFileSync(STANDARD_INPUT, 'utf8'),
    // Looked at only by who uses it: a look at standard input has consequences of its own.
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    errIsTerminal: process.stderr.isTTY === true,
    variables: process.env,
    home: homedir(),
  },
  { server: serveServer, master: serveMaster, store: serveStore, gateway: serveGateway },
).catch((error: Error) => {
  process.stderr.write(`vasto: ${error.message}\n`);
  return 1;
});
if (exitCode !== undefined) process.exitCode = exitCode;
