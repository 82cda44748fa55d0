import { parentPort, workerData } from 'node:worker_threads';
import type { ThreadPlan, ToThread } from './messages.js';
import { BenchThread } from './thread.js';

/** The entry of a thread of `vasto bench`. */
const port = parentPort;
if (port === null) throw new Error('bench-worker runs as a worker thread only');
const thread = new BenchThread(workerData as ThreadPlan, (message) => port.postMessage(message));
port.on('message', (message: ToThread) => {
  void thread.handle(message).then(() => {
    if (message.type === 'finish') port.close();
  });
});
