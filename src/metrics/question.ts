/**
 * Something to be asked that may take long, for scrapes that do not wait for it. As long as it is not answered, it is
 * not asked again.
 */
export class Question<Answer> {
  private asked: Promise<Answer> | undefined;

  /** @param failed is told why there is no answer; the question is asked again at the next occasion */
  constructor(
    private readonly ask: () => Promise<Answer>,
    private readonly failed: (error: Error) => void,
  ) {}

  /** @returns undefined when there is no answer in time, or none at all */
  async within(timeoutMs: number): Promise<Answer | undefined> {
    this.asked ??= this.ask().finally(() => {
      this.asked = undefined;
    });
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), timeoutMs);
    });
    const answered = this.asked.catch((error: Error) => {
      this.failed(error);
      return undefined;
    });
    return Promise.race([answered, tooLong]).finally(() => clearTimeout(timer));
  }
}
