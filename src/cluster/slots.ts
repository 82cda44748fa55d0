export { keySlot, SLOTS } from '../types/slots.js';
