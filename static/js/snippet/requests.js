// The Pixel's own requests, known by their path and our id, not by host: seen when they leave, followed to their end.

import { find } from './events.js';
import { dispatched, report } from './leg.js';
import { guard, part } from './site.js';

/** What the page's own policy has stopped, for judge.js. @type {import('./types.js').Violation[]} */
export const violations = [];

const CUSTOMER_KEYS = 'em ph fn ln ct st zp country db ge external_id'.split(' ');

/**
 * The request that a call makes: called with its end, once it has come. Undefined where it is none of the Pixel's, or
 * none with an id of ours.
 * @param {import('./types.js').Transport} transport
 * @param {unknown} address
 * @param {any} [body]
 */
export const follow = (transport, address, body) => {
  const [matches, query] = /\/tr\/?(\?.*)?$/.exec(String(address)) || [];
  if (!matches) return;
  const params = body || new URLSearchParams(query);
  /** @param {string} name */
  const get = (name) => params.get(name);
  const tracked = find(get('eid'), get('ev'), get('id'));
  // Meta's own notice comes after the request, which may have been seen to leave.
  if (!tracked || (transport === 'unknown' && tracked.event.pixel.seen)) return;
  dispatched(tracked, transport, {
    event_name: get('ev'),
    event_id: get('eid'),
    fbp: get('fbp'),
    fbc: get('fbc'),
    value: get('cd[value]'),
    currency: get('cd[currency]'),
    dpo: get('dpo'),
  });
  // Meta's script may have been given these before we came; it spells them out hashed, and both halves carry the same.
  for (const key of CUSTOMER_KEYS) {
    const hash = get(`ud[${key}]`);
    if (hash && !tracked.raw[key]) tracked.hashed[key] = [hash];
  }
  let open = true;
  /** @param {import('./types.js').State} state @param {string} evidence */
  const end = (state, evidence) => {
    if (open) report(tracked, state, evidence, --tracked.requests);
    open = false;
  };
  return (/** @type {string} */ what) => {
    // Only these prove something by themselves.
    if (/^(load|fetch)$/.test(what)) end('sent', what);
    else part('judge', ({ judge }) => judge(String(address), what, violations, end));
  };
};

/**
 * Look at each use of a method or setter once it has happened; what it does stays as it was.
 * @type {(owner: object, name: string, look: (answer: any, self: any, ...args: any[]) => unknown) => void}
 */
const watch = guard((owner, name, look) => {
  const descriptor = /** @type {any} */ (Object.getOwnPropertyDescriptor(owner, name));
  const kind = descriptor.set ? 'set' : 'value';
  const native = descriptor[kind];
  descriptor[kind] = /** @this {any} @param {any[]} args */ function (...args) {
    const answer = native.apply(this, args);
    guard(look)(answer, this, ...args);
    return answer;
  };
  Object.defineProperty(owner, name, descriptor);
});

/**
 * A form that leaves says what it holds; that of the Pixel goes into a hidden frame.
 * @param {{target: HTMLFormElement, formData: FormData}} event
 */
export const onFormData = ({ target, formData }) => {
  const end = follow('form', target.action, formData);
  const frame = /** @type {HTMLIFrameElement} */ (document.getElementsByName(target.target)[0]);
  // The first load may still be that of the empty frame, whose document is the page's own.
  if (end) frame.addEventListener('load', () => frame.contentDocument || end('form-load'));
};

/** Called once, before the Pixel sends anything. */
export const watchRequests = () => {
  watch(HTMLImageElement.prototype, 'src', (_, image, url) => {
    const end = follow('image', url);
    if (end) for (const what of ['load', 'error']) image.addEventListener(what, () => end(what));
  });

  // A refused beacon is no dispatch: the Pixel goes on to another transport.
  watch(Navigator.prototype, 'sendBeacon', (accepted, _, url, body) => accepted && follow('beacon', url, body)?.('beacon'));

  watch(window, 'fetch', (answer, _, url, options) => {
    const end = follow('fetch', url, options?.body);
    if (end) answer.then(() => end('fetch'), () => end('error'));
  });
};
