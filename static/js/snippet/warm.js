// A connection to Meta before it is needed, so that a fast click does not cancel a cold Pixel image. Loaded only for
// `data-warm`, which may name another address. That it is harmless has not been verified against the live Meta.

const PIXEL = 'https://www.facebook.com/tr/';
const LOOK_MS = 500;

/**
 * Once, after the page has loaded, with consent, and only where no event of the page has warmed it already. With
 * credentials: the Pixel's own requests have them, and browsers keep the two apart.
 * @param {Pick<import('./types.js').Core, 'data' | 'events' | 'gate'>} core
 */
const warm = (core) => {
  const { data, events, gate } = core;
  if (events.some(({ event }) => event.pixel.dispatched_ms != null)) return;
  if (document.readyState !== 'complete' || document.prerendering || gate.closed) setTimeout(warm, LOOK_MS, core);
  else fetch(data.warm || PIXEL, { method: 'HEAD', mode: 'no-cors', credentials: 'include' }).catch(() => {});
};

export default warm;
