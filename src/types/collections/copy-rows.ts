import type { ElementHost, ElementStore } from './elements.js';

/** Stages a copy of all rows of a large collection for another one. */
export function copyRows(source: ElementStore, host: ElementHost): ElementStore {
  const target = host.newElements();
  source.eachRow((kind, name, value) => target.set(kind, name, value));
  return target;
}
