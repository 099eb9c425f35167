// The page's own `fbq` calls, read and given an id. Values in, values out.

/** @typedef {import('./types.js').Options} Options */

const STANDARD =
  /^(Add(PaymentInfo|To(Cart|Wishlist))|C(ompleteRegistration|ontact|ustomizeProduct)|Donate|FindLocation|InitiateCheckout|Lead|PageView|Purchase|S(chedule|earch|tartTrial|ub(mitApplication|scribe))|ViewContent)$/;

/** @param {string} name @param {unknown} single for one named pixel */
export const commandFor = (name, single) =>
  'track' + (single ? 'Single' : '') + (STANDARD.test(name) ? '' : 'Custom');

/**
 * One of `track`, `trackCustom`, `trackSingle`, `trackSingleCustom`; undefined for all else, which is not ours.
 * @param {ArrayLike<any>} args
 */
export const readCall = (args) => {
  const match = /^track(Single)?(Custom)?$/.exec(args[0]);
  const first = match?.[1] ? 2 : 1;
  const name = args[first];
  if (!match || typeof name !== 'string') return;
  const given = /** @type {Options | null | undefined} */ (args[first + 2]);
  return {
    name,
    data: args[first + 1],
    options: { eventID: given?.eventID ?? given?.event_id, pixelIds: match[1] ? [String(args[1])] : undefined },
    /** @param {string} eventID @returns {unknown[]} the same call, every other argument and option as it was */
    with(eventID) {
      const call = Array.from(args);
      // Assigned by index: the data before it may have been left out.
      call[first + 2] = { ...given, eventID };
      return call;
    },
  };
};
