import type { Readable, Writable } from 'node:stream';
import type { Variables } from './target.js';

/** A stream of people's, or a pipe. */
export type InputStream = Readable & { readonly isTTY?: boolean };
export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** What the program has from the process it runs in, as parameters so that tests can stand in for it. */
export interface ProgramEnvironment {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Reads standard input to its end. */
  readonly readInput: () => string;
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  /** Whether standard error is seen by a person. */
  readonly errIsTerminal: boolean;
  readonly variables: Variables;
  /** The user's home directory; undefined where there is none. */
  readonly home: string | undefined;
}
