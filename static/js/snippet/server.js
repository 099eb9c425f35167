// `counterfoil('server', name, data, options)`: an event that goes by the relay alone. Meta's Pixel hears nothing of it.

/**
 * @param {Pick<import('./types.js').Core, 'begin' | 'find' | 'resume'>} core
 * @param {string} name
 * @param {unknown} [data]
 * @param {{eventID?: string, pixelIds?: string[], userData?: Record<string, unknown>, signature?: string}} [options]
 */
export default ({ begin, find, resume }, name, data, { eventID, pixelIds, userData, signature } = {}) => {
  const tracked = find(begin(name, data, eventID, pixelIds, userData, signature), name, pixelIds?.[0]);
  if (!tracked) return; // its id is known already
  tracked.event.pixel = { state: 'off', evidence: 'page' };
  tracked.ready = true;
  resume();
};
