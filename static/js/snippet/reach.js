// The canary: does a host answer at all? Asked only where a request's outcome is ambiguous.

const TIMEOUT_MS = 1500;
const CACHE_MS = 60000;

/** @typedef {'reach' | 'noreach' | 'unknown'} Reach */

/** @type {Record<string, {at: number, answer: Promise<Reach>}>} */
const asked = {};

let forbidden = false;

/** The page's own policy keeps the canary in, so that its failure says nothing. */
export const forbidCanary = () => {
  forbidden = true;
};

/**
 * With credentials, so that it shares the Pixel's own connections. Not verified against the live Meta.
 * @param {string} url
 */
const ask = (url) =>
  fetch(url, {
    method: 'HEAD',
    mode: 'no-cors',
    credentials: 'include',
    cache: 'no-store',
    signal: AbortSignal.timeout?.(TIMEOUT_MS),
  }).then(
    () => /** @type {Reach} */ ('reach'),
    ({ name }) => /** @type {Reach} */ (forbidden || name === 'TimeoutError' ? 'unknown' : 'noreach'),
  );

/** @param {string} url without a query */
export const reach = (url) => {
  const at = performance.now();
  if (!(at - asked[url]?.at < CACHE_MS)) asked[url] = { at, answer: ask(url) };
  return asked[url].answer;
};
