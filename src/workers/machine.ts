import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';

/** Where the kernel does not say which of its starts this is, its time does, give or take; milliseconds. */
const BOOT_TIME_GRAIN_MS = 600_000;

/**
 * Which start of the machine this is: another text after it went down, with what had not reached the disk. Where it is
 * only derived from the clock it may also change for another reason, which costs a copy and loses nothing.
 */
export function machineStart(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    // Not Linux.
    return String(Math.round((Date.now() - uptime() * 1000) / BOOT_TIME_GRAIN_MS));
  }
}
