// The page's `fbq`: every call of it passes here once, wherever the page keeps its references.

import { commandFor, readCall, withId } from './calls.js';
import { find } from './events.js';
import { consent, isOpen, onOpen } from './gate.js';
import { identify } from './identity.js';
import { dispatched } from './leg.js';
import { guard } from './site.js';
import { begin } from './track.js';

/** @typedef {import('./types.js').Fbq} Fbq */

/** @type {Fbq | undefined} */
let adopted;

/** Calls of ours that wait for the page's `fbq`. @type {(() => void)[]} */
const waiting = [];

/** @type {Record<string, import('./types.js').Transport>} */
const TRANSPORTS = { GET: 'image', POST: 'form', BEACON: 'beacon', FETCH: 'fetch' };

/**
 * A call on its way to Meta's script: given an id if it lacks one, and noted, once.
 * @template {ArrayLike<unknown>} A
 * @param {A} args
 * @returns {A | unknown[]}
 */
const rewrite = (args) =>
  guard(() => {
    if (args[0] === 'consent') consent(args[1]);
    const call = readCall(args);
    if (!call || (call.id && find(call.id, call.name, call.pixel))) return args;
    const id = begin(call.name, call.data, { eventID: call.id, pixelIds: call.pixel ? [call.pixel] : undefined });
    return id ? withId(args, id) : args;
  })() || args;

/** Meta's own notice that it has sent something; undocumented, so only where it is there. @param {Fbq} fbq */
const listen = guard((/** @type {Fbq} */ fbq) => {
  fbq.getFbeventsModules?.('SignalsFBEventsEvents').fired.listen(
    guard((/** @type {string} */ how, /** @type {any} */ payload) => {
      const tracked = find(payload.get('eid'), payload.get('ev'), payload.get('id'));
      // Those that we saw leave are followed already.
      if (tracked && tracked.event.pixel.dispatched_ms == null) dispatched(tracked, TRANSPORTS[how] || 'unknown');
    }),
  );
});

/** Stand in the stub's two ways out: its queue, and the method that Meta's script puts there. @param {Fbq} fbq */
const intercept = (fbq) => {
  const { queue } = fbq;
  queue?.forEach((args, index) => (queue[index] = rewrite(args)));
  if (queue) queue.push = (...calls) => Array.prototype.push.apply(queue, calls.map(rewrite));

  /** @type {Fbq['callMethod']} */
  let current;
  /** @param {Fbq['callMethod']} method */
  const wrap = (method) => {
    // A wrapper per method: another script may wrap what it reads here, and put that back.
    current = method && function (...args) {
      return method.apply(this, rewrite(args));
    };
    if (method) listen(fbq);
  };
  wrap(fbq.callMethod);
  Object.defineProperty(fbq, 'callMethod', { configurable: true, enumerable: true, get: () => current, set: wrap });
};

const release = () => {
  if (adopted && !document.prerendering) waiting.splice(0).forEach((call) => call());
};

onOpen(release);

/** Take the page's `fbq` as it stands now: before Meta's script, or after it. */
export const adopt = guard(() => {
  const { fbq } = window;
  if (typeof fbq !== 'function' || fbq === adopted) return;
  adopted = fbq;
  // Undocumented: the lock of a consent that was revoked before we came.
  if (fbq.instance?.locks?._locks?.consent) consent('revoke');
  intercept(fbq);
  if (isOpen()) identify();
  release();
});

/** Wait for the base code where we are first. Its script runs to the end before we look at what it has queued. */
export const awaitFbq = () => {
  if (window.fbq) return adopt();
  Object.defineProperty(window, 'fbq', {
    configurable: true,
    get: () => undefined,
    set(value) {
      Object.defineProperty(window, 'fbq', { value, configurable: true, enumerable: true, writable: true });
      queueMicrotask(adopt);
    },
  });
};

/**
 * Fire the Pixel: now, or as soon as the page has one and somebody sees it.
 * @param {string} name
 * @param {unknown} data
 * @param {string} eventID
 * @param {string[]} [pixelIds]
 */
export const fire = (name, data, eventID, pixelIds) => {
  const command = commandFor(name);
  waiting.push(
    guard(() => {
      if (!pixelIds) adopted?.(command, name, data, { eventID });
      else for (const id of pixelIds) adopted?.(command.replace('track', 'trackSingle'), id, name, data, { eventID });
    }),
  );
  adopt();
  release();
};
