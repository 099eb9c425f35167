// Meta's script itself: where the browser could not load it, no event of the page goes out.

import { events } from './events.js';
import { isWaiting, report } from './leg.js';
import { reach } from './requests.js';

let failed = false;

const isLoaded = () => window.fbq?.callMethod;

/** @param {any} element */
const isMetas = (element) => /\/fbevents\.js/.test(element.src);

/** Events that wait for a script that failed. Another copy may have come since. */
export const bury = () => {
  if (failed && !isLoaded()) events.filter(isWaiting).forEach((tracked) => report(tracked, 'blocked', 'script-error'));
};

const fail = () => {
  failed = true;
  bury();
};

/** It may have failed before we came: the browser has done with it, and its host does not answer. */
export const inspect = () => {
  for (const script of document.scripts)
    if (isMetas(script) && !isLoaded() && performance.getEntriesByName(script.src)[0])
      reach(script.src).then((answer) => answer === 'noreach' && fail());
};

addEventListener('error', ({ target }) => isMetas(target) && fail(), true);
