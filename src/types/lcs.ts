import type { Buffer } from 'node:buffer';

/** A run of bytes that two texts share: both ranges have the same length, and both ends are inclusive. */
export interface SharedRun {
  readonly leftStart: number;
  readonly leftEnd: number;
  readonly rightStart: number;
  readonly rightEnd: number;
}

/**
 * The longest common subsequence by dynamic programming: cell (i, j) is its length for the first i bytes of the left
 * and the first j bytes of the right text. Where several subsequences are longest, the choice on the way back
 * (drop the last byte of the right text on a tie) is the one Redis makes, so that replies are equal.
 * Source of the algorithm: R. A. Wagner and M. J. Fischer, "The String-to-String Correction Problem", 1974.
 */
export class CommonSubsequence {
  /** Row-major, `width` cells a row. */
  private readonly lengths: Uint16Array | Uint32Array;
  private readonly width: number;

  constructor(
    private readonly left: Buffer,
    private readonly right: Buffer,
  ) {
    this.width = right.length + 1;
    const cells = (left.length + 1) * this.width;
    // No length exceeds that of the shorter text.
    const narrow = Math.min(left.length, right.length) <= 0xffff;
    this.lengths = narrow ? new Uint16Array(cells) : new Uint32Array(cells);
    this.fill();
  }

  get length(): number {
    return this.lengths[this.lengths.length - 1]!;
  }

  /** The bytes of the subsequence, written into `target` from its beginning. */
  write(target: Buffer): void {
    let at = this.length;
    this.walkBack((leftAt) => {
      target[--at] = this.left[leftAt]!;
    });
  }

  /** The shared runs, from the end of the texts to their beginning. */
  runs(): SharedRun[] {
    const runs: SharedRun[] = [];
    let leftStart = -1;
    let rightStart = -1;
    let leftEnd = -1;
    let rightEnd = -1;
    const close = (): void => {
      if (leftEnd >= 0) runs.push({ leftStart, leftEnd, rightStart, rightEnd });
    };
    this.walkBack((leftAt, rightAt) => {
      if (leftEnd < 0 || leftAt !== leftStart - 1 || rightAt !== rightStart - 1) {
        close();
        leftEnd = leftAt;
        rightEnd = rightAt;
      }
      leftStart = leftAt;
      rightStart = rightAt;
    });
    close();
    return runs;
  }

  private fill(): void {
    const { left, right, lengths, width } = this;
    for (let i = 1; i <= left.length; i++) {
      const byte = left[i - 1];
      const row = i * width;
      const above = row - width;
      let beside = 0;
      for (let j = 1; j < width; j++) {
        if (right[j - 1] === byte) beside = lengths[above + j - 1]! + 1;
        else if (lengths[above + j]! > beside) beside = lengths[above + j]!;
        lengths[row + j] = beside;
      }
    }
  }

  /** Visits the pairs of equal bytes that make up the subsequence, last first. */
  private walkBack(visit: (leftAt: number, rightAt: number) => void): void {
    const { left, right, lengths, width } = this;
    let i = left.length;
    let j = right.length;
    while (i > 0 && j > 0) {
      if (left[i - 1] === right[j - 1]) visit(--i, --j);
      else if (lengths[(i - 1) * width + j]! > lengths[i * width + j - 1]!) i--;
      else j--;
    }
  }
}
