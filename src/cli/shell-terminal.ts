import { Buffer } from 'node:buffer';
import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from 'node:readline';
import { HISTORY_LINES_MAX } from '../base/limits.js';
import type { InputStream, OutputStream } from './environment.js';
import { type Completable, complete } from './shell-completion.js';
import { isSensitive, type ShellHistory } from './shell-history.js';

export interface TerminalOptions {
  readonly input: InputStream;
  readonly output: OutputStream;
  readonly history: ShellHistory;
  readonly prompt: () => string;
  readonly completable: () => Completable;
  /** Carries out a line. @returns whether to leave */
  readonly onLine: (line: Buffer) => Promise<boolean>;
  /** Ctrl-C while a line is being carried out. */
  readonly onInterrupt: () => void;
}

/** Lines that may wait while one is carried out: as much as people paste. */
const WAITING_LINES_MAX = 10_000;

/** The screen of a person who types: prompt, history, completion, and messages above the line being typed. */
export class ShellTerminal {
  private readonly lines: Interface;
  private readonly waiting: string[] = [];
  private isBusy = false;
  private isAsking = false;
  private hasWarned = false;
  private isOver = false;
  private leave: () => void = () => undefined;

  constructor(private readonly options: TerminalOptions) {
    const { input, output, history } = options;
    this.lines = createInterface({
      input,
      output,
      terminal: true,
      history: history.load(),
      historySize: HISTORY_LINES_MAX,
      removeHistoryDuplicates: true,
      completer: (line: string) => complete(line, options.completable()),
    });
    this.lines.on('history', (entries: string[]) => {
      if (entries[0] !== undefined && (this.isAsking || isSensitive(entries[0]))) entries.shift();
    });
    this.lines.on('line', (line) => this.entered(line));
    this.lines.on('SIGINT', () => this.interrupted());
  }

  /** Settles when the person leaves. */
  run(): Promise<void> {
    return new Promise((resolve) => {
      this.leave = () => {
        if (this.isOver) return;
        this.isOver = true;
        this.lines.close();
        resolve();
      };
      this.lines.on('close', () => {
        if (!this.isOver) this.options.output.write('\n');
        if (!this.isBusy) this.leave();
        else this.options.onInterrupt();
        this.leave();
      });
      this.prompt();
    });
  }

  /** Writes what belongs to the command that is being carried out; above the prompt where there is none. */
  print(data: string | Buffer): void {
    const { output } = this.options;
    if (this.isOver || this.isBusy) {
      output.write(data);
      return;
    }
    moveCursor(output, 0, -this.lines.getCursorPos().rows);
    cursorTo(output, 0);
    clearScreenDown(output);
    output.write(data);
    // Where the line begins has changed, which readline cannot know.
    (this.lines as unknown as { prevRows: number }).prevRows = 0;
    this.prompt(true);
  }

  /** The prompt may say something else now. */
  refresh(): void {
    if (!this.isBusy && !this.isOver) this.prompt(true);
  }

  ask(question: string): Promise<string> {
    this.isAsking = true;
    return new Promise((resolve) => {
      const end = (answer: string) => {
        this.isAsking = false;
        this.lines.off('close', leave);
        resolve(answer);
      };
      const leave = () => end('');
      this.lines.once('close', leave);
      this.lines.question(question, end);
    });
  }

  private prompt(keepsCursor = false): void {
    this.lines.setPrompt(this.options.prompt());
    this.lines.prompt(keepsCursor);
  }

  private entered(line: string): void {
    this.hasWarned = false;
    if (this.waiting.length < WAITING_LINES_MAX) this.waiting.push(line);
    if (!this.isBusy) void this.work();
  }

  private async work(): Promise<void> {
    this.isBusy = true;
    while (this.waiting.length > 0 && !this.isOver) {
      const line = this.waiting.shift()!;
      this.options.history.add(line);
      if (await this.options.onLine(Buffer.from(line))) {
        this.leave();
        return;
      }
    }
    this.isBusy = false;
    if (!this.isOver) this.prompt();
  }

  private interrupted(): void {
    const { output } = this.options;
    output.write('^C\n');
    if (this.isBusy) {
      this.waiting.length = 0;
      if (this.isAsking) this.lines.write('\n');
      this.options.onInterrupt();
      return;
    }
    if (this.lines.line !== '') {
      this.lines.write(null, { ctrl: true, name: 'e' });
      this.lines.write(null, { ctrl: true, name: 'u' });
    } else if (this.hasWarned) {
      this.leave();
      return;
    } else {
      this.hasWarned = true;
      output.write("(Ctrl-D, 'quit' or another Ctrl-C leaves)\n");
    }
    this.prompt();
  }
}
