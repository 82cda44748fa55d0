import type { FrontHandlers } from './handlers.js';

export const serverHandlers: FrontHandlers = {};
