// A page as far as the snippet's quiet parts need one: location, cookies with a public suffix list, storage.

/**
 * @param {{url?: string, suffix?: string, cookies?: Record<string, string>}} [page]
 * @returns {{jar: Map<string, string>}}
 */
export const openPage = ({ url = 'https://www.shop.example/', suffix = 'example', cookies = {} } = {}) => {
  const jar = new Map(Object.entries(cookies));
  const location = new URL(url);
  const document = {
    currentScript: null,
    prerendering: false,
    scripts: [],
    referrer: '',
    addEventListener: () => {},
    get cookie() {
      return [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    },
    set cookie(text) {
      const [pair, ...attributes] = text.split(';');
      const domain = attributes.find((attribute) => attribute.startsWith('domain='))?.slice(7) ?? '';
      const isRefused = domain === suffix && domain !== location.hostname;
      if (!isRefused && `.${location.hostname}`.endsWith(`.${domain}`)) jar.set(...split(pair));
    },
  };
  const storage = {};
  for (const [name, value] of Object.entries({ location, document, localStorage: storage, window: globalThis, navigator: {}, isSecureContext: true }))
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  Object.defineProperty(storage, 'removeItem', { value: (/** @type {string} */ key) => Reflect.deleteProperty(storage, key) });
  globalThis.addEventListener = () => {};
  return { jar };
};

/** @param {string} pair @returns {[string, string]} */
const split = (pair) => {
  const at = pair.indexOf('=');
  return [pair.slice(0, at), pair.slice(at + 1)];
};
