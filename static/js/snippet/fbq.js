// The page's `fbq`: every call of it passes here once, wherever the page keeps its references.

import { events } from './events.js';
import { gate, gpc, isOpen, setConsent, terms } from './gate.js';
import { identify } from './identity.js';
import { arm } from './leg.js';
import { handOver } from './post.js';
import { follow } from './requests.js';
import { guard } from './site.js';
import { begin, known } from './track.js';

/** @typedef {import('./types.js').Fbq} Fbq */

const STANDARD =
  /^(Add(PaymentInfo|To(Cart|Wishlist))|C(ompleteRegistration|ontact|ustomizeProduct)|Donate|FindLocation|InitiateCheckout|Lead|PageView|Purchase|S(chedule|earch|tartTrial|ub(mitApplication|scribe))|ViewContent)$/;

/** Meta is to find out country and state by itself. */
const LDU = ['dataProcessingOptions', ['LDU'], 0, 0];
const OPTIONS = 'data_processing_options';

/** @type {Fbq | undefined} */
let adopted;

/** Calls of ours that wait for the page's `fbq`, and for somebody who sees the page. @type {unknown[][]} */
export const calls = [];

/** Where the gate is open: mint what is missing, fire what waits, hand over what is ready. */
export const resume = guard(() => {
  if (!isOpen()) return;
  identify({});
  events.forEach((tracked) => (tracked.ready ? handOver : arm)(tracked));
  while (adopted && calls[0]) guard(adopted)(.../** @type {unknown[]} */ (calls.shift()));
});

/**
 * A call on its way to Meta's script: given an id if it lacks one, and noted, once. All but `track`, `trackCustom`,
 * `trackSingle` and `trackSingleCustom` pass as they are.
 * @param {ArrayLike<any>} args
 */
const rewrite = (args) =>
  guard(() => {
    if (args[0] === 'consent') {
      setConsent(args[1]);
      resume();
    }
    const call = Array.from(args);
    if (call[0] === 'dataProcessingOptions') [, terms[OPTIONS], terms[OPTIONS + '_country'], terms[OPTIONS + '_state']] = call;
    if (call[0] === 'init') Object.assign(known, call[2]);
    const [command, single] = /^track(Single)?(Custom)?$/.exec(call[0]) || [];
    const at = single ? 2 : 1;
    if (!command || typeof call[at] !== 'string') return;
    const options = call[at + 2];
    const id = begin(call[at], call[at + 1], {
      eventID: options?.eventID ?? options?.event_id,
      pixelIds: single ? [String(call[1])] : undefined,
    });
    // Assigned by index: the data before it may have been left out.
    call[at + 2] = { ...options, eventID: id };
    return id && call;
  })() || args;

/** Stand in the stub's two ways out: its queue, and the method that Meta's script puts there. @param {Fbq} fbq */
const intercept = (fbq) => {
  const { queue = [] } = fbq;
  // Limited Data Use comes before every event, wherever Meta's script stands: also before those that wait for its locks.
  if (gpc === 'ldu') fbq.callMethod && !queue[0] ? fbq(.../** @type {unknown[]} */ (rewrite(LDU))) : queue.unshift(LDU);
  queue.forEach((args, index) => (queue[index] = rewrite(args)));
  queue.push = (args) => queue.splice(queue.length, 0, rewrite(args)) && queue.length;

  /** @type {Fbq['callMethod']} */
  let current;
  const set = guard((/** @type {Fbq['callMethod']} */ method) => {
    // A wrapper per method: another script may wrap what it reads here, and put that back.
    current = method && /** @this {unknown} @param {unknown[]} args */ function (...args) {
      return method.apply(this, /** @type {unknown[]} */ (rewrite(args)));
    };
    // Meta's own notices, undocumented, so only where they are there: of what it has sent, and of an event that it fires
    // by itself, such as the PageView of a history change, and that has no id yet.
    const { fired, setEventId } = fbq.getFbeventsModules?.('SignalsFBEventsEvents') || {};
    fired?.listen((/** @type {unknown} */ _, /** @type {unknown} */ params) => follow('unknown', '/tr', params));
    setEventId?.listen((/** @type {string} */ pixel, /** @type {any} */ params, /** @type {string} */ name) => {
      // The method may be set twice, and then we listen twice.
      if (!params.get('eid')) params.append('eid', begin(name, {}, { pixelIds: [String(pixel)] }));
    });
  });
  set(fbq.callMethod);
  Object.defineProperty(fbq, 'callMethod', { get: () => current, set, configurable: true });
};

/** Take the page's `fbq` as it stands now: before Meta's script, or after it. */
export const adopt = guard(() => {
  const { fbq } = window;
  if (!fbq || fbq === adopted) return;
  adopted = fbq;
  // Undocumented: the lock of a consent that was revoked before we came.
  if (fbq.instance?.locks?._locks?.consent) setConsent('revoke');
  intercept(fbq);
  if (gate.closed) fbq('consent', 'revoke');
  resume();
});

/** Wait for the base code where we are first. Its script runs to its end before we look at what it has queued. */
export const awaitFbq = () => {
  adopt();
  if (!adopted)
    Object.defineProperty(window, 'fbq', {
      configurable: true,
      get() {},
      set(value) {
        delete window.fbq;
        window.fbq = value;
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
  const custom = STANDARD.test(name) ? '' : 'Custom';
  for (const pixel of pixelIds || [''])
    calls.push([...(pixel ? ['trackSingle' + custom, pixel] : ['track' + custom]), name, data, { eventID }]);
  adopt();
  resume();
};
