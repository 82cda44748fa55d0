import { PassThrough } from 'node:stream';
import type { ProgramEnvironment } from '../../src/cli/environment.js';

/** What the program runs in where nobody looks: no terminal, no input, no variables. */
export function programEnvironment(facts: Partial<ProgramEnvironment> = {}): ProgramEnvironment {
  return {
    out: () => undefined,
    err: () => undefined,
    readInput: () => '',
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    errIsTerminal: false,
    variables: {},
    home: undefined,
    ...facts,
  };
}
