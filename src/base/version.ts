/** The release this program is; a test keeps it equal to package.json, which the single executable lacks. */
export const VERSION = '0.1.0';
