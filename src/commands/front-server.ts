import type { CommandDefinition } from './definition.js';

export const serverCommands: readonly CommandDefinition[] = [];
