// The Pixel's own requests, known by their path and our id, not by host: seen when they leave, followed to their end.

import { find } from './events.js';
import { dispatched, report } from './leg.js';
import { guard } from './site.js';

/** @typedef {import('./types.js').State} State */
/** @typedef {{url: string, end: (state: State, evidence: string) => void, judge: (what: string) => void}} Request */

const CANARY_MS = 1500;
const CACHE_MS = 60000;

/** Requests under way. @type {Set<Request>} */
const open = new Set();

/** @type {Record<string, {at: number, answer: Promise<string>}>} */
const asked = {};

/** The page's own policy keeps the canary in, so that its failure says nothing. */
let forbidden = false;

/**
 * The canary: does a host answer at all? Asked only where an outcome is ambiguous, once a minute. It carries
 * credentials, so that it shares the Pixel's own connections. Not verified against the live Meta.
 * @param {string} url
 */
export const reach = (url) => {
  const at = performance.now();
  if (!(at - asked[url]?.at < CACHE_MS)) {
    const signal = AbortSignal.timeout?.(CANARY_MS);
    const answer = fetch(url, { method: 'HEAD', mode: 'no-cors', credentials: 'include', cache: 'no-store', signal }).then(
      () => 'reach',
      async ({ name }) => {
        // The event that names the policy comes after the rejection.
        await new Promise((resolve) => setTimeout(resolve, 100));
        return forbidden || name === 'TimeoutError' ? 'unknown' : 'noreach';
      },
    );
    asked[url] = { at, answer };
  }
  return asked[url].answer;
};

/** The request that a call makes; undefined where it is none of the Pixel's, or none with an id of ours. */
const follow = guard(
  /**
   * @param {import('./types.js').Transport} transport
   * @param {unknown} address
   * @param {any} [body]
   */
  (transport, address, body) => {
    const [url, query] = String(address).split('?');
    if (!/\/tr\/?$/.test(url)) return;
    const params = new URLSearchParams(transport === 'form' ? /** @type {any} */ (new FormData(body)) : body || query);
    /** @param {string} name */
    const get = (name) => params.get(name);
    const tracked = find(get('eid'), get('ev'), get('id'));
    if (!tracked) return;
    /** @type {Request} */
    const request = {
      url,
      end: (state, evidence) => open.delete(request) && report(tracked, state, evidence, --tracked.requests),
      // An end that proves nothing by itself. With Timing-Allow-Origin the browser says that the request was
      // answered; else ask whether the host answers at all.
      judge: async (what) => {
        const entries = /** @type {any[]} */ (performance.getEntriesByName(String(address)));
        if (entries.some((entry) => entry.requestStart)) return request.end('sent', 'timing');
        const answer = await reach(url);
        request.end(answer === 'reach' ? 'sent' : answer === 'noreach' ? 'blocked' : 'pending', what + '+' + answer);
      },
    };
    open.add(request);
    dispatched(tracked, transport, {
      event_name: get('ev'),
      event_id: get('eid'),
      fbp: get('fbp'),
      fbc: get('fbc'),
      value: get('cd[value]'),
      currency: get('cd[currency]'),
      dpo: get('dpo'),
    });
    return request;
  },
);

/**
 * Look at each use of a method or setter before it happens, and at its answer; what it does stays as it was.
 * @type {(owner: object, name: string, look: (self: any, args: any[]) => ((answer: any) => void) | void) => void}
 */
const watch = guard((owner, name, look) => {
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
});

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
    const frame = /** @type {HTMLIFrameElement} */ (document.getElementsByName(form.target)[0]);
    // The first load may still be that of the empty frame, whose document is the page's own.
    frame?.addEventListener('load', () => frame.contentDocument || request.judge('form-load'));
  });

  // A refused beacon is no dispatch: the Pixel goes on to another transport.
  watch(Navigator.prototype, 'sendBeacon', (_, [url, body]) => (accepted) => {
    if (accepted) follow('beacon', url, body)?.judge('beacon');
  });

  watch(window, 'fetch', (_, [url, options]) => {
    const request = follow('fetch', url, options?.body);
    return request && ((answer) => answer.then(() => request.end('sent', 'fetch'), () => request.judge('error')));
  });

  // A policy of the page is certain, and comes beside the ambiguous error. `connect-src` stops the canary, and the
  // transports that it then cannot judge.
  document.addEventListener('securitypolicyviolation', ({ blockedURI, disposition, effectiveDirective }) => {
    if (disposition === 'report') return;
    if (effectiveDirective === 'connect-src') forbidden = true;
    else for (const request of open) if (blockedURI.startsWith(request.url)) request.end('blocked', 'csp');
  });
};
