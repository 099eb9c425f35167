// Ends of a Pixel request that prove nothing by themselves. Loaded with the first of them on a page.

const CANARY_MS = 1500;
const CACHE_MS = 60000;
const POLICY_MS = 100; // the event that names a policy comes after the failure that it causes

/** @typedef {import('./types.js').Violation} Violation */

/** @type {Record<string, {at: number, answer: Promise<string>}>} */
const asked = {};

/** @param {string} url */
const canary = async (url) => {
  try {
    const signal = AbortSignal.timeout?.(CANARY_MS);
    await fetch(url, { method: 'HEAD', mode: 'no-cors', credentials: 'include', cache: 'no-store', signal });
    return 'reach';
  } catch (error) {
    await new Promise((resolve) => setTimeout(resolve, POLICY_MS));
    return /** @type {Error} */ (error).name === 'TimeoutError' ? 'unknown' : 'noreach';
  }
};

/**
 * The canary: does a host answer at all? Asked once a minute. It carries credentials, so that it shares the Pixel's own
 * connections. Not verified against the live Meta.
 * @param {string} url
 * @param {DOMStringMap} data
 */
const reach = async (url, data) => {
  if (data.canary === 'off') return 'unknown';
  const at = performance.now();
  if (!(at - asked[url]?.at < CACHE_MS)) asked[url] = { at, answer: canary(url) };
  return asked[url].answer;
};

/**
 * What became of a request, as state and evidence. With Timing-Allow-Origin the browser says that it was answered; a
 * policy of the page that stopped it is certain; else the canary is asked, which a policy may keep in too.
 * @param {string} address
 * @param {string} what happened
 * @param {Violation[]} violations
 * @param {(state: import('./types.js').State, evidence: string) => void} end
 * @param {DOMStringMap} data the tag's attributes
 */
export const judge = async (address, what, violations, end, data) => {
  const [url] = String(address).split('?');
  const entries = /** @type {any[]} */ (performance.getEntriesByName(String(address)));
  if (entries.some((entry) => entry.requestStart)) return end('sent', 'timing');
  /** @param {(violation: Violation) => boolean} look */
  const enforced = (look) => violations.some((violation) => violation.disposition !== 'report' && look(violation));
  const isStopped = () =>
    enforced(({ effectiveDirective, blockedURI }) => effectiveDirective !== 'connect-src' && blockedURI.startsWith(url));
  const answer = isStopped() ? '' : await reach(url, data);
  if (isStopped()) return end('blocked', 'csp');
  if (answer === 'reach') return end('sent', what + '+reach');
  const isForbidden = enforced(({ effectiveDirective }) => effectiveDirective === 'connect-src');
  if (answer === 'noreach' && !isForbidden) end('blocked', what + '+noreach');
  else end('pending', what + '+unknown');
};

/**
 * The end of a form post, which goes into a hidden frame.
 * @param {HTMLIFrameElement} frame
 * @param {(what: string) => void} end
 */
export const watchFrame = (frame, end) => {
  // Until the answer has come the frame's document is the page's own, empty one; it may have come before us.
  const look = () => frame.contentDocument || end('form-load');
  frame.addEventListener('load', look);
  look();
};

/**
 * Meta's script may have failed before we came: the browser has done with it, and its host does not answer.
 * @param {() => void} fail
 * @param {DOMStringMap} data
 */
export const inspect = async (fail, data) => {
  for (const { src } of document.scripts)
    if (/\/fbevents\.js/.test(src) && performance.getEntriesByName(src)[0] && (await reach(src, data)) === 'noreach') fail();
};
