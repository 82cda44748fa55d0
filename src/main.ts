#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { run } from './cli/program.js';
import { serveServer } from './roles/server.js';

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
  {
    server: serveServer,
    // Loaded by those who are started as such: gRPC takes a tenth of a second, which every command line would wait.
    master: async (config) => (await import('./roles/master.js')).serveMaster(config),
    store: async (config) => (await import('./roles/store.js')).serveStore(config),
    gateway: async (config) => (await import('./roles/gateway.js')).serveGateway(config),
  },
).catch((error: Error) => {
  process.stderr.write(`vasto: ${error.message}\n`);
  return 1;
});
if (exitCode !== undefined) process.exitCode = exitCode;
