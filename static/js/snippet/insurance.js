// For the crash of a tab, which tells nobody: where the browser has `fetchLater`, it holds a copy of each event that the
// relay has not acknowledged, and sends it when the page is gone, however it went. The copy has the event's id, so the
// relay counts it once.

/** @typedef {import('./types.js').Tracked} Tracked */

const MAX_CHARACTERS = 8000; // the 64 KiB that such copies may have together are for several

/** @param {Pick<import('./types.js').Core, 'data' | 'events' | 'gate' | 'terms'>} core */
export const insure = ({ data, events, gate, terms }) => {
  /** @type {any} */
  const page = window;
  if (!page.fetchLater) return;
  const endpoint = new URL(data.endpoint || '/v1/events', import.meta.url);
  /** @type {Map<Tracked, AbortController>} */
  const copies = new Map();

  /** @param {Tracked} tracked */
  const drop = (tracked) => {
    copies.get(tracked)?.abort();
    copies.delete(tracked);
  };

  /** Hashed customer data only: the browser may keep the copy anywhere. @param {Tracked} tracked */
  const arm = (tracked) => {
    const { event, hashed, at } = tracked;
    const age_ms = Math.round(performance.now() - at);
    const body = JSON.stringify({ site: data.site, events: [{ ...terms, ...event, user_data: hashed, age_ms }] });
    if (gate.closed || document.prerendering || tracked.told || body.length > MAX_CHARACTERS) return;
    const stop = new AbortController();
    try {
      page.fetchLater(endpoint, { method: 'POST', body, credentials: 'include', signal: stop.signal });
      copies.set(tracked, stop);
    } catch {} // no room, or a policy of the page's
  };

  const { push } = events;
  events.push = (...added) => {
    // Once Meta's script has had its turn, so that the copy knows whether the Pixel's request has left.
    for (const tracked of added) setTimeout(arm, 0, tracked);
    return push.apply(events, added);
  };
  const { heard } = gate;
  gate.heard = (answer, body, tracked) => {
    drop(tracked);
    heard?.(answer, body, tracked);
  };
  // The core has listened before us: what it could tell by beacon needs no copy.
  addEventListener('pagehide', () => events.filter(({ told }) => told).forEach(drop), true);
  // What may not leave any more is not insured either.
  let { closed } = gate;
  // Not by defineProperty: build.js gives a name in quotes no shorter one.
  Object.defineProperties(gate, {
    closed: {
      get: () => closed,
      set(value) {
        closed = value;
        if (closed) for (const tracked of [...copies.keys()]) drop(tracked);
      },
    },
  });
};
