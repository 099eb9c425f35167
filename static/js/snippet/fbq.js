// The page's `fbq`: every call of it passes here once, wherever the page keeps its references.

import { events } from './events.js';
import { gate, gpc, isOpen, setConsent, terms } from './gate.js';
import { identify } from './identity.js';
import { arm } from './leg.js';
import { handOver } from './post.js';
import { guard } from './site.js';
import { begin, known } from './track.js';

/** @typedef {import('./types.js').Fbq} Fbq */

/** Meta is to find out country and state by itself. */
const LDU = ['dataProcessingOptions', ['LDU'], 0, 0];
const OPTIONS = 'data_processing_options';

/** @type {Fbq | undefined} */
let adopted;

/** Calls of ours that wait for the page's `fbq`, and for somebody who sees the page. @type {unknown[][]} */
export const calls = [];

/**
 * A call on its way to Meta's script: given an id if it lacks one, and noted, once. All but `track`, `trackCustom`,
 * `trackSingle` and `trackSingleCustom` pass as they are.
 * @template {ArrayLike<any>} A
 * @param {A} args
 * @returns {A | any[]}
 */
export const rewrite = (args) =>
  guard(() => {
    if (args[0] === 'consent') {
      setConsent(args[1]);
      resume();
    }
    const call = [.../** @type {any} */ (args)];
    if (call[0] === LDU[0]) [, terms[OPTIONS], terms[OPTIONS + '_country'], terms[OPTIONS + '_state']] = call;
    if (call[0] === 'init') Object.assign(known, call[2]);
    const [command, single] = /^track(Single)?(Custom)?$/.exec(call[0]) || [];
    const at = single ? 2 : 1;
    if (!command || typeof call[at] !== 'string') return;
    // What is for the relay alone does not go to Meta's script.
    const { userData, signature, ...options } = call[at + 2] || {};
    const eventID = begin(
      call[at],
      call[at + 1],
      options.eventID ?? options.event_id,
      /** @type {any} */ (single && [String(call[1])]),
      userData,
      signature,
    );
    // Assigned by index: the data before it may have been left out.
    call[at + 2] = { ...options, eventID };
    return eventID && call;
  })() || args;

/** Stand in the stub's two ways out: its queue, and the method that Meta's script puts there. @param {Fbq} fbq */
const intercept = (fbq) => {
  const { queue = [] } = fbq;
  // Limited Data Use comes before every event, wherever Meta's script stands: also before those that wait for its locks.
  if (gpc === 'ldu') fbq.callMethod && !queue[0] ? fbq(.../** @type {unknown[]} */ (rewrite(LDU))) : queue.unshift(LDU);
  queue.push = (args) => /** @type {any} */ (queue[queue.length] = rewrite(args));
  for (const args of queue.splice(0)) queue.push(args);

  /** @type {Fbq['callMethod']} */
  let current;
  const set = guard((/** @type {Fbq['callMethod']} */ method) => {
    // A wrapper per method: another script may wrap what it reads here, and put that back.
    current = method && /** @this {unknown} @param {unknown[]} args */ function (...args) {
      return method.apply(this, /** @type {unknown[]} */ (rewrite(args)));
    };
    gate.loaded?.();
  });
  set(fbq.callMethod);
  Object.defineProperty(fbq, 'callMethod', { get: () => current, set, configurable: true });
};

/**
 * Go on with all that can: take the page's `fbq` as it stands now, before Meta's script or after it; where the gate is
 * open, mint what is missing, hand over what is ready, fire what waits.
 */
export const resume = guard(() => {
  const { fbq } = window;
  if (fbq && fbq !== adopted) {
    adopted = fbq;
    // Undocumented: the lock of a consent that was revoked before we came.
    if (fbq.instance?.locks?._locks?.consent) setConsent('revoke');
    intercept(fbq);
    if (gate.closed) fbq('consent', 'revoke');
  }
  if (!isOpen()) return;
  identify({});
  events.forEach((tracked) => (tracked.ready ? handOver : arm)(tracked));
  while (adopted && calls[0]) guard(adopted)(.../** @type {any} */ (calls.shift()));
});

/** Wait for the base code where we are first. Its script runs to its end before we look at what it has queued. */
export const awaitFbq = () => {
  resume();
  if (!adopted)
    Object.defineProperty(window, 'fbq', {
      configurable: true,
      set(value) {
        delete window.fbq;
        window.fbq = value;
        queueMicrotask(resume);
      },
    });
};
