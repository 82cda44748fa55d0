import { performance } from 'node:perf_hooks';
import { VERSION } from '../base/version.js';
import { counter, type Family, gauge, gauges } from './family.js';

/** What every process tells of itself, by its role; `process_…` are names that many programs have. */
export const PROCESS_FAMILIES: readonly Family<string>[] = [
  gauges(
    'vasto_build_info',
    'What the program is; always 1.',
    ['role', 'version', 'node_version'],
    (role) => [[1, role, VERSION, process.version]],
  ),
  counter('process_cpu_seconds_total', 'Processor time, of all threads.', () => {
    const { userCPUTime, systemCPUTime } = process.resourceUsage();
    return (userCPUTime + systemCPUTime) / 1e6;
  }),
  gauge('process_resident_memory_bytes', 'Memory that the process has.', () => process.memoryUsage.rss()),
  gauge('process_start_time_seconds', 'When it was started, Unix time.', () => performance.timeOrigin / 1000),
  counter(
    'vasto_main_thread_busy_seconds_total',
    'For how long the thread that serves connections was not idle.',
    () => performance.eventLoopUtilization().active / 1000,
  ),
];
