import { type ChildProcess, spawn } from 'node:child_process';
import { afterAll } from 'vitest';

/** Runs a program on a pseudo-terminal and joins that with its own standard streams; Node.js has no such call. */
const BRIDGE = `
import fcntl, os, pty, select, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
watched = [0, fd]
while True:
    for ready in select.select(watched, [], [])[0]:
        try:
            data = os.read(ready, 65536)
        except OSError:
            data = b''
        if ready == fd:
            if not data:
                status = os.waitpid(pid, 0)[1]
                sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 99)
            os.write(1, data)
        elif data:
            os.write(fd, data)
        else:
            watched.remove(0)
`;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const ESCAPES = /\x1b\[[0-9;?]*[A-Za-z]/g;
const WAIT_MS = 20_000;

const running = new Set<ChildProcess>();
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
});

/** A program at a terminal of 120 columns, as a person sees and uses it. */
export class TestTerminal {
  /** What it has written since the last match, without escape sequences. */
  private unread = '';
  all = '';
  private wake: () => void = () => undefined;
  readonly exited: Promise<number | null>;

  private constructor(private readonly child: ChildProcess) {
    running.add(child);
    child.stdout?.on('data', (chunk: Buffer) => {
      const text = chunk.toString().replace(ESCAPES, '');
      this.unread += text;
      this.all += text;
      this.wake();
    });
    this.exited = new Promise((resolve) => {
      child.once('close', (code) => {
        running.delete(child);
        resolve(code);
        this.wake();
      });
    });
  }

  static start(words: readonly string[], variables: Readonly<Record<string, string>> = {}): TestTerminal {
    const env = { ...process.env, TERM: 'xterm', ...variables };
    return new TestTerminal(
      spawn('python3', ['-c', BRIDGE, ...words], { stdio: ['pipe', 'pipe', 'inherit'], env }),
    );
  }

  type(keys: string): void {
    this.child.stdin?.write(keys);
  }

  /** Waits for text after what was matched before; gives what led up to it and it. */
  async see(pattern: RegExp | string): Promise<string> {
    const untilMs = Date.now() + WAIT_MS;
    for (;;) {
      const match = typeof pattern === 'string' ? undefined : pattern.exec(this.unread);
      const start = typeof pattern === 'string' ? this.unread.indexOf(pattern) : (match?.index ?? -1);
      if (start >= 0) {
        const end = start + (match?.[0].length ?? String(pattern).length);
        const seen = this.unread.slice(0, end);
        this.unread = this.unread.slice(end);
        return seen;
      }
      const left = untilMs - Date.now();
      if (left <= 0 || !running.has(this.child))
        throw new Error(
          `the terminal did not show ${String(pattern)} but:\n${this.unread}\n--- of all:\n${this.all}`,
        );
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}
