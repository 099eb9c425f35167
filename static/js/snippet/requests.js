// The Pixel's own requests, known by their path and our id, not by host: seen when they leave, followed to their end.

import { age, find } from './events.js';
import { report } from './leg.js';
import { data, guard, part } from './site.js';

const SETTLE_MS = 2500; // a request has this long to be answered

/** What the page's own policy has stopped, for judge.js. @type {import('./types.js').Violation[]} */
export const violations = [];

/** What the relay is told of a request, under Meta's own names; also the customer keys, which are hashed there. */
const SEEN =
  'id ev eid fbp fbc cd[value] cd[currency] dpo ud[em] ud[ph] ud[fn] ud[ln] ud[ct] ud[st] ud[zp] ud[country] ud[db] ud[ge] ud[external_id]'.split(' ');

/**
 * The request that a call makes: called with its end, once it has come. Undefined where it is none of the Pixel's, or
 * none with an id of ours.
 * @param {import('./types.js').Transport} transport
 * @param {unknown} address
 * @param {any} [body]
 */
export const follow = (transport, address, body) => {
  const [matches, query] = /\/tr\/?(\?.*)?$/.exec(/** @type {string} */ (address)) || [];
  if (!matches) return;
  const params = body || new URLSearchParams(query);
  /** @type {Record<string, string | undefined>} */
  const seen = {};
  for (const name of SEEN) seen[name] = params.get(name) ?? undefined;
  const tracked = find(seen.eid, seen.ev, seen.id);
  // Meta's own notice comes after the request, which may have been seen to leave.
  if (!tracked || (transport === 'unknown' && tracked.event.pixel.seen)) return;
  const leg = tracked.event.pixel;
  leg.dispatched_ms ??= age(tracked);
  leg.seen ??= seen;
  leg.transport = transport;
  if (leg.state === 'undispatched') leg.state = 'pending';
  tracked.requests++;
  setTimeout(() => tracked.requests && report(tracked, 'pending', 'settle-timeout'), SETTLE_MS);
  let open = true;
  /** @param {import('./types.js').State} state @param {string} evidence */
  const end = (state, evidence) => {
    if (open) report(tracked, state, evidence, --tracked.requests);
    open = false;
  };
  return (/** @type {string} */ what) => {
    // Only these prove something by themselves.
    if (/^(load|fetch)$/.test(what)) end('sent', what);
    else part('judge', (module) => module.judge(address, what, violations, end, data));
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
  const [frame] = document.getElementsByName(target.target);
  if (end) part('judge', (module) => module.watchFrame(frame, end));
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
