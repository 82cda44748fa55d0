import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const code = new Map<string, string>();

/**
 * Runs a script in a process of its own, behind the exports of a source file, bundled as they are now.
 * @param source path below src/
 */
export function startScript(source: string, script: string, ...flags: string[]): ChildProcess {
  let bundled = code.get(source);
  if (bundled === undefined) {
    const built = buildSync({
      entryPoints: [`${ROOT}src/${source}`],
      bundle: true,
      platform: 'node',
      format: 'esm',
      external: ['rocksdb'],
      write: false,
    });
    bundled = built.outputFiles[0]!.text;
    code.set(source, bundled);
  }
  // Bare imports of a script on stdin are resolved from the working directory.
  const child = spawn(process.execPath, [...flags, '--input-type=module', '-'], {
    cwd: ROOT,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin!.end(`${bundled}\n${script}`);
  return child;
}

export interface ScriptResult {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a script to its end. */
export async function runScript(source: string, script: string, ...flags: string[]): Promise<ScriptResult> {
  const child = startScript(source, script, ...flags);
  let stdout = '';
  let stderr = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr!.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  await once(child, 'close');
  return { status: child.exitCode, signal: child.signalCode, stdout, stderr };
}
