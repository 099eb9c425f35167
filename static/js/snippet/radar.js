// Who else sends Meta events of this page: known loaders, a pixel that is initialised twice, Pixel requests without an id
// of ours. Loaded only for `data-radar`, the share of visits to look at (0 to 1). It tells names and counts, never an
// address, a cookie or a person, and nothing at all while consent keeps the page's events in.

const TELL_MS = 10000;
const CHOICE = 'counterfoil.radar';
const ROWS_MAX = 50; // the relay takes no more
const COUNT_MAX = 1000;
const NAME_MAX = 50;
const INIT = /fbq\s*\(\s*['"]init['"]\s*,\s*['"]?(\d{1,20})/g;

/** From relay/senders.json, by build.js. @type {{id: string, mark: string, agent?: string, event_id?: string}[]} */
const SENDERS = COUNTERFOIL_SENDERS;

/** Once a visit, so that a visit is looked at whole or not at all. @param {number} share */
const isChosen = (share) => {
  const chosen = Math.random() < share;
  try {
    sessionStorage[CHOICE] ??= String(+chosen);
    return sessionStorage[CHOICE] === '1';
  } catch {
    return chosen; // no storage: each page by itself
  }
};

/** @param {string | undefined} start @param {string | null} text */
const begins = (start, text) => start && text && new RegExp(`^(?:${start})`, 'i').test(text);

/** @param {Pick<import('./types.js').Core, 'data' | 'events' | 'gate'>} core */
const start = ({ data, events, gate }) => {
  const began = performance.now();
  /** By sender, pixel, event name and whose ids. @type {Map<string, number>} */
  const counts = new Map();
  /** What a page says once. @type {Set<string>} */
  const told = new Set();
  const { fired } = window.fbq?.getFbeventsModules?.('SignalsFBEventsEvents') || {};

  /** @type {(sender: string, pixel?: string | null, name?: string | null, ids?: string, n?: number) => void} */
  const add = (sender, pixel = '', name = '', ids = '', n = 1) => {
    const key = JSON.stringify([sender, pixel, name, ids]);
    if (counts.has(key) || counts.size < ROWS_MAX) counts.set(key, Math.min((counts.get(key) || 0) + n, COUNT_MAX));
  };

  /** @type {typeof add} */
  const once = (sender, pixel, ...rest) => {
    if (!told.has(sender + pixel)) add(sender, pixel, ...rest);
    told.add(sender + pixel);
  };

  /** A request of the Pixel, whoever has asked for it. @param {{get: (name: string) => any}} params */
  const request = (params) => {
    const [pixel, name, id, agent] = ['id', 'ev', 'eid', 'a'].map((key) => params.get(key));
    if (!/^\d{1,20}$/.test(pixel) || !name || name.length > NAME_MAX) return;
    const sender = SENDERS.find((known) => begins(known.event_id, id) || begins(known.agent, agent));
    const isOurs = events.some(({ event }) => event.event_id === id);
    add(sender ? sender.id : 'pixel', pixel, name, isOurs ? 'ours' : id ? 'own' : 'none');
  };

  /** @param {string} text */
  const search = (text) => SENDERS.forEach(({ id, mark }) => new RegExp(mark, 'i').test(text) && once(id));

  const tell = () => {
    if (gate.closed || document.prerendering) return;
    const text = Array.from(document.scripts, (script) => script.src || script.text).join('\n');
    search(text);
    once('page');
    /** @type {Record<string, number>} */
    const inits = {};
    for (const [, pixel] of text.matchAll(INIT)) inits[pixel] = (inits[pixel] || 0) + 1;
    for (const [pixel, n] of Object.entries(inits)) if (n > 1) once('second_init', pixel, '', '', n);
    if (!counts.size) return;
    const seen = Array.from(counts, ([key, count]) => {
      const [sender, pixel_id, event_name, ids] = JSON.parse(key);
      return { sender, pixel_id, event_name, ids, count };
    });
    const url = new URL(data.endpoint || '/v1/events', import.meta.url);
    url.pathname = url.pathname.replace(/events$/, 'report');
    if (navigator.sendBeacon(url, JSON.stringify({ site: data.site, seen }))) counts.clear();
  };

  /** A guest on the page: what fails in here, nobody notices. @template {unknown[]} A @param {(...args: A) => void} work */
  const guard = (work) => (/** @type {A} */ ...args) => {
    try {
      work(...args);
    } catch {}
  };
  // Meta's own notice, undocumented, tells of requests that leave as forms; where it is not there, the browser's list of
  // what was loaded has to do, which lacks them.
  fired?.listen(guard((/** @type {unknown} */ _, /** @type {any} */ params) => request(params)));
  const look = guard((/** @type {PerformanceObserverEntryList} */ list) =>
    list.getEntries().forEach(({ name, startTime }) => {
      search(name);
      const [, query] = /\/tr\/?\?(.*)/.exec(name) || [];
      if (query && !(fired && startTime > began)) request(new URLSearchParams(query));
    }),
  );
  new PerformanceObserver(look).observe({ type: 'resource', buffered: true });
  setTimeout(guard(tell), TELL_MS);
  const leave = guard(tell);
  addEventListener('pagehide', leave);
  addEventListener('visibilitychange', () => document.hidden && leave(), true);
};

/** @param {Pick<import('./types.js').Core, 'data' | 'events' | 'gate'>} core */
export default (core) => {
  if (isChosen(Number(core.data.radar))) (window.requestIdleCallback || setTimeout)(() => start(core));
};
