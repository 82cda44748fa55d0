import type { TaskProgress } from '../cluster/manager.js';

const WIDTH = 30;

/** One line that is written over again and again; nothing where nobody looks. */
export class ProgressBar {
  private isShown = false;
  private lastText = '';

  constructor(
    private readonly write: (text: string) => void,
    private readonly isTerminal: boolean,
  ) {}

  show({ done, total, phase }: TaskProgress): void {
    if (!this.isTerminal) return;
    const text = progressText(done, total, phase);
    if (text === this.lastText) return;
    this.lastText = text;
    this.isShown = true;
    this.write(`\r\x1b[K${text}`);
  }

  clear(): void {
    if (this.isShown) this.write('\r\x1b[K');
    this.isShown = false;
  }
}

export function progressText(done: number, total: number, phase: string): string {
  const share = total > 0 ? Math.min(1, Math.max(0, done / total)) : 0;
  const filled = Math.round(share * WIDTH);
  return `[${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}] ${String(Math.floor(share * 100)).padStart(3)} %  ${phase}`;
}
