/** A status line on the terminal; plain lines where output is not one. */
export class Progress {
  #shown = '';

  /** @param {string} text replaces the status line */
  show(text) {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
    else if (text !== this.#shown) process.stderr.write(`${text}\n`);
    this.#shown = text;
  }

  /** @param {string} text a line that stays */
  note(text) {
    this.clear();
    process.stderr.write(`${text}\n`);
  }

  clear() {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }
}
