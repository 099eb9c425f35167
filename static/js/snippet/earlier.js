// Events that Meta's script had sent before the snippet came, where the page gave them an id: what their requests say.
// One without an id stays the browser's alone, since Meta could not tell its counterpart from a second event.

/** A member of custom_data as the Pixel writes it: lists and objects as JSON. @param {string} text */
const parsed = (text) => {
  try {
    return /^[[{]/.test(text) ? JSON.parse(text) : text;
  } catch {
    return text;
  }
};

/**
 * What left later the core has seen, and what it did not begin is another sender's. So is a request that does not say
 * when Meta's script started (`it`), as those that plugins write themselves.
 * @param {Pick<import('./types.js').Core, 'begin' | 'data' | 'find' | 'follow'>} core
 */
export const takeOver = ({ begin, data, find, follow }) => {
  const src = [...document.scripts].find(({ dataset }) => dataset === data)?.src;
  const [script] = /** @type {PerformanceResourceTiming[]} */ (performance.getEntriesByName(src || ''));
  for (const { name, startTime } of performance.getEntriesByType('resource')) {
    const [, query] = /\/tr\/?\?(.+)/.exec(name) || [];
    const params = new URLSearchParams(query);
    const [id, ev, eid, it] = ['id', 'ev', 'eid', 'it'].map((key) => params.get(key));
    if (!(startTime < script?.responseEnd) || !id || !ev || !eid || !it || find(eid, ev, id)) continue;
    /** @type {Record<string, unknown>} */
    const custom = {};
    for (const [key, value] of params) if (/^cd\[/.test(key)) custom[key.slice(3, -1)] = parsed(value);
    begin(ev, custom, eid, [id]);
    const tracked = find(eid, ev, id);
    if (!tracked) continue;
    tracked.at = startTime;
    follow('image', name)?.('timing');
  }
};
