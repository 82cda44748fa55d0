import { type ChildProcess, spawn } from 'node:child_process';

export interface ToolRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, with `input` on its standard input. */
export function runTool(
  program: string,
  args: readonly string[],
  input: string | Buffer = '',
  timeoutMs = 30_000,
): Promise<ToolRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.stdin.on('error', () => undefined);
    child.once('error', reject);
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
    });
    child.stdin.end(input);
  });
}

/** Runs a program that does not end, until its output matches; gives the output. */
export function watchTool(
  program: string,
  args: readonly string[],
  until: RegExp,
  timeoutMs = 20_000,
): { readonly child: ChildProcess; readonly matched: Promise<string> } {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const matched = new Promise<string>((resolve, reject) => {
    let output = '';
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`${program} did not print ${String(until)} but:\n${output}`));
    }, timeoutMs);
    child.once('error', reject);
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (!until.test(output)) return;
      clearTimeout(timer);
      child.kill('SIGKILL');
      resolve(output);
    });
  });
  return { child, matched };
}
