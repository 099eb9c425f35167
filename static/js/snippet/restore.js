// What earlier pages left in the outbox. Loaded only where something is in it, some seconds after the page's start.

const PREFIX = 'counterfoil:';
const MAX_AGE_MS = 864e5; // a day

/** @param {string} key @returns {any} what is not readable is too old for any comparison */
const read = (key) => {
  try {
    return JSON.parse(localStorage[key]);
  } catch {
    return {};
  }
};

/** Take up each event with its first id and time. @param {Pick<import('./types.js').Core, 'events' | 'find' | 'resume'>} core */
export default ({ events, find, resume }) => {
  for (const key of Object.keys(localStorage).filter((name) => name.startsWith(PREFIX))) {
    const { event, hashed, wall } = read(key) || {};
    const past = Math.max(0, Date.now() - wall);
    if (!(past < MAX_AGE_MS)) localStorage.removeItem(key);
    else if (!find(event.event_id, event.event_name, event.pixel_ids?.[0]))
      events.push({ event, raw: {}, hashed, at: performance.now() - past, requests: 0, ready: true });
  }
  resume();
};
