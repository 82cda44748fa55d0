import { type ServiceError, status } from '@grpc/grpc-js';
import { ManagerError } from '../cluster/manager.js';
import { WireError } from './wire-checks.js';

type Code = ManagerError['code'];

const STATUS_OF_CODE = {
  INVALID: status.INVALID_ARGUMENT,
  NOT_FOUND: status.NOT_FOUND,
  EXISTS: status.ALREADY_EXISTS,
  BUSY: status.ABORTED,
  IMPOSSIBLE: status.FAILED_PRECONDITION,
  UNAVAILABLE: status.UNAVAILABLE,
  FAILED: status.UNKNOWN,
} as const satisfies Record<Code, status>;

const CODE_OF_STATUS: ReadonlyMap<status, Code> = new Map(
  Object.entries(STATUS_OF_CODE).map(([code, number]) => [number, code as Code]),
);

/** How a call ends. */
export interface CallStatus {
  readonly code: status;
  readonly details: string;
}

/** How a call ends whose work has failed. */
export function statusOf(error: unknown): CallStatus {
  if (error instanceof ManagerError) return { code: STATUS_OF_CODE[error.code], details: error.message };
  if (error instanceof WireError) return { code: status.INVALID_ARGUMENT, details: error.message };
  return { code: status.INTERNAL, details: error instanceof Error ? error.message : String(error) };
}

export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error;
}

/** Whether the connection is of no use any more, as far as the end of a call tells. */
export function isConnectionLost(error: unknown): boolean {
  return (
    isServiceError(error) && (error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED)
  );
}

/**
 * What the end of a call means to who made it.
 * @param address of the master
 */
export function managerErrorOf(error: unknown, address: string): ManagerError {
  if (error instanceof ManagerError) return error;
  if (error instanceof WireError)
    return new ManagerError('FAILED', `the master at ${address} sent a ${error.message}`, { cause: error });
  if (!isServiceError(error)) return new ManagerError('FAILED', String(error), { cause: error });
  const { code, details } = error;
  switch (code) {
    case status.UNAUTHENTICATED:
      return new ManagerError('IMPOSSIBLE', `the master at ${address} does not know this node: ${details}`, {
        cause: error,
      });
    case status.DEADLINE_EXCEEDED:
      return new ManagerError('UNAVAILABLE', `the master at ${address} does not answer`, { cause: error });
    case status.UNAVAILABLE:
      return new ManagerError('UNAVAILABLE', plainly(details), { cause: error });
    case status.UNIMPLEMENTED:
      return new ManagerError('IMPOSSIBLE', `the master at ${address} is of another version: ${details}`, {
        cause: error,
      });
    default:
      return new ManagerError(CODE_OF_STATUS.get(code) ?? 'FAILED', details, { cause: error });
  }
}

/** What gRPC says of a connection, without its words around what the system has said, and without the time: the same is told once. */
function plainly(details: string): string {
  const said = /Last error: (?:Error: )?(.+?)\. Resolution note/.exec(details)?.[1] ?? details;
  return said.replace(/ \(\d{4}-\d\d-\d\dT[\d:.]+Z\)$/, '');
}
