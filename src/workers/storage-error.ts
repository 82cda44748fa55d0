/** RocksDB said no: `code` tells what kind of no, `cause` is the binding's error. */
export class StorageError extends Error {
  constructor(
    readonly code: 'LOCKED' | 'CORRUPT' | 'IO' | 'NO_SPACE' | 'CLOSED' | 'OTHER',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'StorageError';
  }
}

/** What an error of the binding, or of a file, is for the instance in directory `path`. */
export function toStorageError(cause: unknown, path: string): StorageError {
  if (cause instanceof StorageError) return cause;
  if (!(cause instanceof Error)) return new StorageError('OTHER', `${path}: ${String(cause)}`);
  const native = 'code' in cause ? cause.code : undefined;
  const text = `${path}: ${cause.message}`;
  if (native === 'LEVEL_LOCKED') return new StorageError('LOCKED', text, { cause });
  if (native === 'LEVEL_CORRUPTION') return new StorageError('CORRUPT', text, { cause });
  if (native === 'ENOSPC' || /no space left|quota exceeded/i.test(cause.message))
    return new StorageError('NO_SPACE', text, { cause });
  if (native === 'LEVEL_IO_ERROR' || typeof native === 'string' || /IO error/i.test(cause.message))
    return new StorageError('IO', text, { cause });
  return new StorageError('OTHER', text, { cause });
}
