'use client';
// For the root layout of a Next application (app router): the page is what Next's router says it is.

import { usePathname, useSearchParams } from 'next/navigation';
import { createElement, Suspense } from 'react';
import { Counterfoil as OnPage } from './react.js';

/** @typedef {import('./index.js').Options} Props */

/** @param {Props} props */
const OnRoute = (props) => {
  const query = String(useSearchParams() ?? '');
  return createElement(OnPage, { ...props, page: usePathname() + (query && '?' + query) });
};

/** Reading the query suspends a page that is rendered in advance; nothing is shown either way. @param {Props} props */
export const Counterfoil = (props) => createElement(Suspense, { fallback: null }, createElement(OnRoute, props));
