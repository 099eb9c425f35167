// Counterfoil for sites with a bundler. The snippet itself always comes from the relay, so that both speak one language;
// this package puts its tag into the page, keeps calls until it is there, and does nothing on a server.

/**
 * @typedef {object} Options
 * @property {string} relay the relay's address as browsers see it, such as `https://relay.shop.example`
 * @property {string} site the site's key in relay.toml
 * @property {string} [src] where the script comes from, if not from `/c.js` of the relay
 * @property {string} [endpoint] where posts go, if not to `/v1/events` where the script comes from
 * @property {string} [consent] the adapter that is asked (`tcf`, `google`, …), or empty for a page that calls `consent()`
 * @property {'ldu' | 'drop' | 'ignore'} [gpc] what the browser's Global Privacy Control means; `ldu` if left out
 * @property {boolean | 'custom'} [ga4] take GA4 ecommerce events from the page's dataLayer
 * @property {boolean} [debug] one line per event in the console
 * @property {string | string[]} [pixel] ids of Meta pixels, for pages that do not carry Meta's base code themselves
 * @property {string} [fbevents] where Meta's script comes from; a twin's address in tests
 * @property {string} [nonce] for a Content-Security-Policy that asks for one
 */

/**
 * @typedef {object} TrackOptions
 * @property {string} [eventID] one id, one event; made up if left out
 * @property {Record<string, unknown>} [userData] customer keys; hashed before they are kept
 * @property {string[]} [pixelIds] some of the site's pixels only
 * @property {string} [signature] of the shop's server, where the site asks for one
 */

const FBEVENTS = 'https://connect.facebook.net/en_US/fbevents.js';

/** @returns {any} the page; none on a server */
const page = () => (typeof window === 'undefined' ? undefined : window);

/** Calls wait in `q` until the snippet has come. */
const stub = () => {
  const { counterfoil } = page();
  if (counterfoil) return counterfoil;
  /** @param {unknown[]} args */
  const queue = (...args) => void queue.q.push(args);
  /** @type {unknown[][]} */
  queue.q = [];
  return (page().counterfoil = queue);
};

/** @param {string} src @param {Options} options @param {Record<string, string>} [data] */
const addScript = (src, { nonce }, data = {}) => {
  const script = document.createElement('script');
  script.async = true;
  script.src = src;
  if (nonce) script.nonce = nonce;
  Object.assign(script.dataset, data);
  document.head.append(script);
};

/** What Meta's base code does, without PageViews of its own on history changes: those would carry no id. @param {Options} options */
const addPixel = (options) => {
  if (page().fbq) return;
  /** @type {any} */
  const fbq = (/** @type {unknown[]} */ ...args) =>
    fbq.callMethod ? fbq.callMethod.apply(fbq, args) : fbq.queue.push(args);
  Object.assign(fbq, { push: fbq, loaded: true, version: '2.0', queue: [] });
  fbq.disablePushState = fbq.allowDuplicatePageViews = true;
  page().fbq = page()._fbq = fbq;
  addScript(options.fbevents || FBEVENTS, options);
  for (const id of [options.pixel].flat()) fbq('init', id);
};

/** @param {Options} options @returns {Record<string, string>} the tag's data attributes */
const attributes = ({ site, consent, endpoint, gpc, ga4, debug }) => ({
  site,
  ...(endpoint && { endpoint }),
  ...(consent !== undefined && { consent }),
  ...(gpc && { gpc }),
  ...(ga4 && { ga4: ga4 === true ? '' : ga4 }),
  ...(debug && { debug: '' }),
});

let isLoaded = false;

/** Put the snippet into the page, once; on a server, nothing. @param {Options} options */
export const load = (options) => {
  if (!page() || isLoaded) return;
  isLoaded = true;
  stub();
  addScript(options.src ?? options.relay.replace(/\/$/, '') + '/c.js', options, attributes(options));
  if (options.pixel) addPixel(options);
};

/**
 * One event for both halves: the Pixel now, the relay once it knows what became of that.
 * @param {string} command
 * @returns {(name: string, data?: Record<string, unknown>, options?: TrackOptions) => string | undefined} gives the
 *   event's id; none on a server
 */
const sender =
  (command) =>
  (name, data, options = {}) => {
    if (!page()) return;
    const eventID = options.eventID ?? page().crypto.randomUUID?.();
    return stub()(command, name, data, { ...options, eventID }) ?? eventID;
  };

/** One of Meta's standard events. */
export const track = sender('track');

/** An event of your own. */
export const trackCustom = sender('trackCustom');

/** The visitor's word. Nothing that is held or denied leaves the page. @param {'grant' | 'revoke'} word */
export const consent = (word) => {
  if (page()) stub()('consent', word);
};
