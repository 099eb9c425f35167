'use client';
// One component at the root of a React application: it loads the snippet and owns the PageViews.

import { useEffect, useRef } from 'react';
import { load, track } from './index.js';

/** @typedef {import('./index.js').Options & {page?: string}} Props `page` names the page shown; a new one is a PageView */

/** Renders nothing. @param {Props} props @returns {null} */
export const Counterfoil = ({ page, ...options }) => {
  /** Strict mode runs effects twice; a page is viewed once. @type {import('react').RefObject<string | null | undefined>} */
  const viewed = useRef(null);
  useEffect(() => {
    load(options);
    if (viewed.current === page) return;
    viewed.current = page;
    // Meta's script would drop the second PageView of a document.
    const { fbq } = /** @type {any} */ (window);
    if (fbq) fbq.allowDuplicatePageViews = true;
    track('PageView');
  }, [page]);
  return null;
};
