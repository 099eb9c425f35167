// The page's own `fbq` calls, read and given an id. Values in, values out.

/** @typedef {import('./types.js').Options} Options */

const STANDARD =
  'AddPaymentInfo,AddToCart,AddToWishlist,CompleteRegistration,Contact,CustomizeProduct,Donate,FindLocation,' +
  'InitiateCheckout,Lead,PageView,Purchase,Schedule,Search,StartTrial,SubmitApplication,Subscribe,ViewContent';

/** @param {string} name @returns {'track' | 'trackCustom'} */
export const commandFor = (name) => (STANDARD.split(',').includes(name) ? 'track' : 'trackCustom');

/**
 * One of `track`, `trackCustom`, `trackSingle`, `trackSingleCustom`; undefined for all else, which is not ours.
 * @param {ArrayLike<unknown>} args
 */
export const readCall = (args) => {
  const match = /^track(Single)?(Custom)?$/.exec(String(args[0]));
  const at = match?.[1] ? 2 : 1;
  const name = args[at];
  if (!match || typeof name !== 'string') return;
  const options = /** @type {Options | undefined} */ (args[at + 2]);
  const given = options?.eventID ?? options?.event_id;
  return { name, data: args[at + 1], pixel: match[1] && String(args[1]), id: given && String(given) };
};

/**
 * The same call carrying the id; every other argument and option as it was.
 * @param {ArrayLike<unknown>} args
 * @param {string} id
 * @returns {unknown[]}
 */
export const withId = (args, id) => {
  const call = Array.from(args);
  const at = /^trackSingle/.test(String(call[0])) ? 4 : 3;
  // Assigned by index: the data before it may have been left out.
  call[at] = { ...Object(call[at]), eventID: id };
  return call;
};
