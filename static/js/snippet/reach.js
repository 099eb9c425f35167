// The canary: does a host answer at all? Asked only where a request's outcome is ambiguous.

const TIMEOUT_MS = 1500;
const CACHE_MS = 60000;

/** @type {Map<string, [at: number, answer: Promise<boolean | undefined>]>} */
const asked = new Map();

/** Addresses that the page's own policy kept a canary from. @type {Set<string>} */
const forbidden = new Set();

document.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) => {
  if (effectiveDirective === 'connect-src') forbidden.add(blockedURI);
});

/** @param {string} url @returns {Promise<boolean | undefined>} */
const ask = async (url) => {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
  try {
    // With credentials, so that it shares the Pixel's own connections. Not verified against the live Meta.
    await fetch(url, { method: 'HEAD', mode: 'no-cors', credentials: 'include', cache: 'no-store', signal: abort.signal });
    return true;
  } catch {
    // The event that names a policy violation may come after the rejection.
    await new Promise((resolve) => setTimeout(resolve, 20));
    return abort.signal.aborted || forbidden.has(url) ? undefined : false;
  } finally {
    clearTimeout(timer);
  }
};

/**
 * @param {string} url without a query
 * @returns {Promise<boolean | undefined>} true: an HTTP answer; false: none; undefined: no knowing
 */
export const reaches = (url) => {
  let [at, answer] = asked.get(url) || [];
  if (at == null || !answer || performance.now() - at > CACHE_MS) asked.set(url, [performance.now(), (answer = ask(url))]);
  return answer;
};
