/** The release this program is; a test keeps it equal to package.json, which the single executable lacks. */
export const VERSION = '0.1.0';

/** The release of Redis whose clients and tools feel at home here: what HELLO and INFO tell them. */
export const REDIS_VERSION = '7.2.5';
