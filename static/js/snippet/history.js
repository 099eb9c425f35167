// PageViews of history changes, fired by us, with an id. Loaded only for `data-history`: for sites whose copy of Meta's
// script does not let us give its own such PageViews an id.

const LOOK_MS = 100;

/** Meta's script leaves history alone, and takes more than one PageView a page. */
const tune = () => {
  if (window.fbq) Object.assign(window.fbq, { disablePushState: true, allowDuplicatePageViews: true });
  else setTimeout(tune, LOOK_MS);
};

export default () => {
  let last = location.href;
  const view = () => {
    if (location.href === last) return;
    last = location.href;
    window.counterfoil?.('track', 'PageView');
  };
  for (const name of /** @type {const} */ (['pushState', 'replaceState'])) {
    const native = history[name];
    history[name] = (...args) => {
      native.apply(history, args);
      view();
    };
  }
  addEventListener('popstate', view);
  tune();
};
