// The Pixel's own requests, known by their path and our id, not by host: seen when they leave, followed to their end.

import { find } from './events.js';
import { dispatched, settled } from './leg.js';
import { forbidCanary, reach } from './reach.js';
import { guard } from './site.js';

/** @typedef {import('./types.js').State} State */
/** @typedef {{url: string, connects: boolean, end: (state: State, evidence: string) => void, judge: (what: string) => void}} Request */

/** Those under way. @type {Set<Request>} */
const open = new Set();

/** @type {Record<import('./reach.js').Reach, State>} */
const STATE_BY_REACH = { reach: 'sent', noreach: 'blocked', unknown: 'pending' };

/** The request that a call makes; undefined where it is none of the Pixel's, or none with an id of ours. */
const follow = guard(
  /**
   * @param {import('./types.js').Transport} transport
   * @param {unknown} address
   * @param {any} [body]
   */
  (transport, address, body) => {
    const url = String(address);
    if (!/\/tr\/?(\?|$)/.test(url)) return;
    const params = new URLSearchParams(transport === 'form' ? /** @type {any} */ (new FormData(body)) : body || url.split('?')[1]);
    const [event_name, event_id, pixel, fbp, fbc, value, currency] =
      'ev,eid,id,fbp,fbc,cd[value],cd[currency]'.split(',').map((name) => params.get(name));
    const tracked = find(event_id, event_name, pixel);
    if (!tracked) return;
    /** @type {Request} */
    const request = {
      url,
      connects: transport === 'beacon' || transport === 'fetch',
      end: (state, evidence) => open.delete(request) && settled(tracked, state, evidence),
      // An end that proves nothing by itself. With Timing-Allow-Origin the browser says that the request was
      // answered; else ask whether the host answers at all.
      judge: async (what) => {
        const entries = /** @type {PerformanceResourceTiming[]} */ (performance.getEntriesByName(url));
        if (entries.some((entry) => entry.requestStart)) return request.end('sent', 'timing');
        const answer = await reach(url.split('?')[0]);
        request.end(STATE_BY_REACH[answer], what + '+' + answer);
      },
    };
    open.add(request);
    dispatched(tracked, transport, { event_name, event_id, fbp, fbc, value, currency });
    return request;
  },
);

/**
 * Look at each use of a method or setter before it happens, and at its answer; what it does stays as it was.
 * @param {object} owner
 * @param {string} name
 * @param {(self: any, args: any[]) => ((answer: any) => void) | void} look
 */
const watch = (owner, name, look) => {
  const descriptor = /** @type {any} */ (Object.getOwnPropertyDescriptor(owner, name));
  const kind = descriptor.set ? 'set' : 'value';
  const native = descriptor[kind];
  descriptor[kind] = /** @this {any} @param {any[]} args */ function (...args) {
    const after = look(this, args);
    const answer = native.apply(this, args);
    after?.(answer);
    return answer;
  };
  Object.defineProperty(owner, name, descriptor);
};

/** Called once, before the Pixel sends anything. */
export const watchRequests = () => {
  watch(HTMLImageElement.prototype, 'src', (image, [url]) => {
    const request = follow('image', url);
    if (!request) return;
    image.addEventListener('load', () => request.end('sent', 'load'));
    image.addEventListener('error', () => request.judge('error'));
  });

  watch(HTMLFormElement.prototype, 'submit', (form) => {
    const request = follow('form', form.action, form);
    if (!request) return;
    // The first load may still be that of the empty frame, whose document is the page's own.
    document.getElementsByName(form.target)[0]?.addEventListener('load', ({ target }) => {
      if (!(/** @type {HTMLIFrameElement} */ (target).contentDocument)) request.judge('form-load');
    });
  });

  // A refused beacon is no dispatch: the Pixel goes on to another transport.
  watch(Navigator.prototype, 'sendBeacon', (_, [url, body]) => (accepted) => {
    if (accepted) follow('beacon', url, body)?.judge('beacon');
  });

  watch(window, 'fetch', (_, [url, options]) => {
    const request = follow('fetch', url, options?.body);
    return request && ((answer) => answer.then(() => request.end('sent', 'fetch'), () => request.judge('error')));
  });

  // A policy of the page is certain, and comes beside the ambiguous error.
  document.addEventListener('securitypolicyviolation', ({ blockedURI, disposition, effectiveDirective }) => {
    if (disposition === 'report') return;
    const connects = effectiveDirective === 'connect-src';
    if (connects) forbidCanary();
    for (const request of open)
      if (blockedURI && request.url.startsWith(blockedURI) && request.connects === connects) request.end('blocked', 'csp');
  });
};
