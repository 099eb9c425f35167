// `_fbp` and `_fbc`: adopted as they are, minted where they are missing, before the Pixel builds its first event.

const MAX_AGE_SECONDS = 7776000; // 90 days, as Meta's own

/**
 * A cookie of Meta's form, 4 or 5 fields; the Pixel ignores and replaces any other, and so do we.
 * @param {string} cookies as `document.cookie`
 * @param {string} name
 * @returns {string | undefined}
 */
export const readCookie = (cookies, name) =>
  RegExp('(?:^|; )' + name + '=(fb\\.\\d\\.\\d+\\.[^;.]+(?:\\.[^;.]+)?)(?:;|$)').exec(cookies)?.[1];

/**
 * The payloads that are missing. The click id is case-sensitive, and one that the cookie holds already keeps its
 * first-seen time.
 * @param {string} cookies
 * @param {string} search as `location.search`
 * @param {() => number} random between 0 and 1
 * @returns {[name: string, payload: string | number][]}
 */
export const missing = (cookies, search, random) => {
  const click = new URLSearchParams(search).get('fbclid') || '';
  /** @type {[string, string | number][]} */
  const found = [];
  if (!readCookie(cookies, '_fbp')) found.push(['_fbp', Math.floor(random() * 2 ** 31)]);
  if (/^[\w-]{1,500}$/.test(click) && readCookie(cookies, '_fbc')?.split('.')[3] !== click) found.push(['_fbc', click]);
  return found;
};

/**
 * Set a cookie on the widest domain that the browser accepts, as the Pixel does: it knows the public suffixes.
 * The number after `fb.` counts the labels of that domain, from zero.
 * @param {string} name
 * @param {string | number} payload
 */
const mint = (name, payload) => {
  const labels = location.hostname.split('.');
  const secure = location.protocol === 'https:' ? ';secure' : '';
  labels.some((_, index) => {
    const value = `fb.${index}.${Date.now()}.${payload}`;
    const domain = labels.slice(-1 - index).join('.');
    document.cookie = `${name}=${value};domain=${domain};path=/;max-age=${MAX_AGE_SECONDS};samesite=lax${secure}`;
    return readCookie(document.cookie, name) === value;
  });
};

/** What the browser's cookies say; a value that it refused to keep is not claimed. */
export const identify = () => {
  missing(document.cookie, location.search, Math.random).forEach(([name, payload]) => mint(name, payload));
  return { fbp: readCookie(document.cookie, '_fbp'), fbc: readCookie(document.cookie, '_fbc') };
};

/**
 * Whether cookies may go along: the host shares the domain that `_fbp` lies on.
 * @param {string} host of the relay
 * @param {string} page
 * @param {string} cookies
 */
export const isSameSite = (host, page, cookies) => {
  const index = readCookie(cookies, '_fbp')?.[3];
  const domain = page.split('.').slice(-1 - Number(index)).join('.');
  return index != null && ('.' + host).endsWith('.' + domain);
};
