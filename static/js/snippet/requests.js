// The Pixel's own requests, known by their path and our id, not by host: seen when they leave, followed to their end.

import { find } from './events.js';
import { dispatched, settled } from './leg.js';
import { reaches } from './reach.js';
import { guard } from './site.js';

/** @typedef {import('./types.js').State} State */
/** @typedef {import('./types.js').Transport} Transport */
/** @typedef {{url: string, socket: boolean, settle: (state: State, evidence: string) => void, probe: (what: string) => void}} Request */

/** Those under way. @type {Set<Request>} */
const open = new Set();

/**
 * The parameters of a request to the Pixel's path; undefined for any other address.
 * @param {string} url
 * @param {unknown} [body] FormData or URLSearchParams
 */
export const readRequest = (url, body) => {
  if (!/\/tr\/?(\?|$)/.test(url)) return;
  const fields = /** @type {Iterable<[string, string]>} */ (body && typeof body === 'object' ? body : []);
  return new URLSearchParams([...new URL(url, location.href).searchParams, ...fields]);
};

/** What the receipt compares, as the Pixel itself spelt it. @param {URLSearchParams} params */
export const readSeen = (params) => {
  /** @param {string} name */
  const read = (name) => params.get(name) ?? undefined;
  return {
    event_name: read('ev'),
    event_id: read('eid'),
    fbp: read('fbp'),
    fbc: read('fbc'),
    value: read('cd[value]'),
    currency: read('cd[currency]'),
  };
};

/**
 * @param {Transport} transport
 * @param {unknown} address
 * @param {unknown} [body]
 * @returns {Request | undefined} undefined where the request is none of ours
 */
const follow = (transport, address, body) => {
  const url = String(address);
  const params = readRequest(url, body);
  const tracked = params && find(params.get('eid'), params.get('ev'), params.get('id'));
  if (!tracked) return;
  /** @type {Request} */
  const request = {
    url,
    socket: transport === 'beacon' || transport === 'fetch',
    settle: (state, evidence) => {
      if (open.delete(request)) settled(tracked, state, evidence);
    },
    // With Timing-Allow-Origin the browser itself says that the request was made; else ask whether the host answers.
    probe: async (what) => {
      const entries = /** @type {PerformanceResourceTiming[]} */ (performance.getEntriesByName(url));
      if (entries.some((entry) => entry.requestStart > 0)) return request.settle('sent', 'timing');
      const reach = await reaches(url.split('?')[0]);
      if (reach) request.settle('sent', what + '+reach');
      else if (reach === false) request.settle('blocked', what + '+noreach');
      else request.settle('pending', what + '+unknown');
    },
  };
  open.add(request);
  dispatched(tracked, transport, readSeen(params));
  return request;
};

// A policy of the page that forbids the request is certain, and comes beside the ambiguous error.
document.addEventListener('securitypolicyviolation', ({ blockedURI, disposition, effectiveDirective }) => {
  if (disposition !== 'enforce' || !blockedURI) return;
  open.forEach((request) => {
    if (request.url.startsWith(blockedURI) && request.socket === (effectiveDirective === 'connect-src'))
      request.settle('blocked', 'csp');
  });
});

/**
 * Look at calls of a method before they happen, and at their answers; the method itself is not changed.
 * @param {any} owner
 * @param {string} name
 * @param {(self: any, args: any[]) => ((answer: any) => void) | undefined | void} look
 */
const watch = (owner, name, look) => {
  const native = owner[name];
  const safeLook = guard(look);
  owner[name] = /** @this {any} @param {any[]} args */ function (...args) {
    const after = safeLook(this, args);
    const answer = native.apply(this, args);
    if (after) guard(after)(answer);
    return answer;
  };
};

/** Called once, before the Pixel sends anything. */
export const watchRequests = () => {
  const source = /** @type {PropertyDescriptor} */ (Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, 'src'));
  const look = guard((/** @type {HTMLImageElement} */ image, /** @type {unknown} */ url) => {
    const request = follow('image', url);
    if (!request) return;
    image.addEventListener('load', () => request.settle('sent', 'load'));
    image.addEventListener('error', () => request.probe('error'));
  });
  Object.defineProperty(HTMLImageElement.prototype, 'src', {
    ...source,
    set(url) {
      look(this, url);
      source.set?.call(this, url);
    },
  });

  watch(HTMLFormElement.prototype, 'submit', (form) => {
    const request = follow('form', form.action, new FormData(form));
    const frame = /** @type {HTMLIFrameElement | null} */ (document.getElementsByName(form.target)[0]);
    frame?.addEventListener('load', () => {
      // The first load may still be that of the empty frame, which is the page's own.
      if (frame.contentDocument?.URL !== 'about:blank') request?.probe('form-load');
    });
  });

  watch(Navigator.prototype, 'sendBeacon', (_, [url, body]) => (accepted) => {
    // Refused beacons are no dispatch: the Pixel goes on to another transport.
    if (accepted) follow('beacon', url, body)?.probe('beacon');
  });

  watch(window, 'fetch', (_, [url, options]) => {
    const request = follow('fetch', url?.url ?? url, options?.body);
    return request && ((answer) => answer.then(() => request.settle('sent', 'fetch'), () => request.probe('error')));
  });
};
