// Meta's script itself: when the browser could not load it, no event of the page will go out.

import { events } from './events.js';
import { report } from './leg.js';
import { reaches } from './reach.js';

let failed = false;

/** @param {unknown} element */
const isMetas = (element) => element instanceof HTMLScriptElement && /\/fbevents\.js/.test(element.src);

/** Events that waited for the script that failed. Another copy may have come since. */
export const bury = () => {
  if (!failed || window.fbq?.callMethod) return;
  events.forEach((tracked) => {
    if (!tracked.ready && tracked.event.pixel.dispatched_ms == null) report(tracked, 'blocked', 'script-error');
  });
};

const fail = () => {
  failed = true;
  bury();
};

/** The failure may have happened before we came: the browser has an entry for it, and the host does not answer. */
export const inspect = () => {
  for (const { src } of [...document.scripts].filter(isMetas)) {
    if (!window.fbq?.callMethod && performance.getEntriesByName(src).length)
      reaches(src).then((reach) => reach === false && fail());
  }
};

addEventListener('error', ({ target }) => isMetas(target) && fail(), true);
