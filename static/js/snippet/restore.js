// What earlier pages left in the outbox, some seconds after the page's start, and what there is too much of.

const PREFIX = 'counterfoil:';
const MAX_AGE_MS = 864e5; // a day
const MAX_EVENTS = 50;
const WAIT_MS = 3000; // the page's own start comes first, and a beacon's answer may still be under way

/** @param {string} key @returns {any} what is not readable is too old for any comparison */
const read = (key) => {
  try {
    return JSON.parse(localStorage[key]) || {};
  } catch {
    return {};
  }
};

/** The newest are kept. @returns {string[]} */
const keys = () => {
  const found = Object.keys(localStorage).filter((name) => name.startsWith(PREFIX));
  found.sort((a, b) => read(b).wall - read(a).wall);
  for (const key of found.splice(MAX_EVENTS)) localStorage.removeItem(key);
  return found;
};

/**
 * A relay on the page's own domain has set a cookie for each event that came by beacon: FNV-1a, 32 bits, of its name in
 * the outbox (relay/web/cookies.py has the same).
 * @param {string} key
 */
const isAcknowledged = (key) => {
  let mark = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(key.slice(PREFIX.length))) mark = Math.imul(mark ^ byte, 0x01000193) >>> 0;
  return document.cookie.includes(`counterfoil_${mark.toString(16)}=`);
};

/** Take up each event with its first id and time. @param {Pick<import('./types.js').Core, 'events' | 'find' | 'resume'>} core */
const takeUp = ({ events, find, resume }) => {
  for (const key of keys()) {
    const { event, hashed, wall } = read(key);
    const past = Math.max(0, Date.now() - wall);
    if (!(past < MAX_AGE_MS) || isAcknowledged(key)) localStorage.removeItem(key);
    else if (!find(event.event_id, event.event_name, event.pixel_ids?.[0]))
      events.push({ event, hashed, at: performance.now() - past, requests: 0, ready: true });
  }
  resume();
};

/** @param {Pick<import('./types.js').Core, 'events' | 'find' | 'resume'>} core */
export const restore = (core) => {
  setTimeout(() => keys()[0] && takeUp(core), Math.max(0, WAIT_MS - performance.now()));
};
