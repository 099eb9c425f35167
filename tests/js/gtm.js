// Google Tag Manager's sandbox as far as it is documented: a template's code with the APIs that it requires, each under
// the permissions that the template declares. Runs in Node and in a page.

/** @typedef {Record<string, any>} Data */

/** The sections of a .tpl file, by name. @param {string} text @returns {Record<string, string>} */
export const sections = (text) => {
  const parts = text.split(/^___([A-Z_]+)___$/m).slice(1);
  return Object.fromEntries(parts.flatMap((name, at) => (at % 2 ? [] : [[name, (parts[at + 1] ?? '').trim()]])));
};

/** @param {string} text of the section WEB_PERMISSIONS */
const permissions = (text) => {
  /** @typedef {{type: number, string?: string, boolean?: boolean, mapValue: Item[]}} Item */
  /** @type {Record<string, {listItem: Item[]}>} */
  const found = {};
  for (const { instance } of JSON.parse(text)) found[instance.key.publicId] = instance.param[0].value;
  const keys = found.access_globals.listItem.map(({ mapValue }) => mapValue.map((each) => each.string ?? each.boolean));
  const urls = found.inject_script.listItem.map(({ string }) => string ?? '');
  return {
    /** @param {string} key @param {'read' | 'write' | 'execute'} right */
    needGlobal(key, right) {
      const at = ['read', 'write', 'execute'].indexOf(right) + 1;
      if (!keys.some((row) => row[0] === key && row[at])) throw new Error(`no permission to ${right} ${key}`);
    },
    /** @param {string} url */
    needScript(url) {
      const fits = (/** @type {string} */ pattern) =>
        new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*')}$`).test(url);
      if (!urls.some(fits)) throw new Error(`no permission to inject ${url}`);
    },
  };
};

/** @param {any} root @param {string} path */
const reach = (root, path) => path.split('.').reduce((value, key) => value?.[key], root);

/** @param {any} root @param {string} path @param {unknown} value */
const put = (root, path, value) => {
  const keys = path.split('.');
  const last = /** @type {string} */ (keys.pop());
  reach(root, keys.join('.') || 'self')[last] = value;
};

/**
 * Run a template once, as Tag Manager does when the tag fires.
 * @param {string} template the .tpl file
 * @param {Data} data the fields, as the user has filled them in
 * @param {any} page the window; it has `self`
 * @param {(url: string, then: () => void, fail: () => void) => void} inject
 * @returns {Promise<{ok: boolean, logged: unknown[]}>}
 */
export const runTemplate = (template, data, page, inject) =>
  new Promise((resolve, reject) => {
    const parts = sections(template);
    const allowed = permissions(parts.WEB_PERMISSIONS);
    /** @type {unknown[]} */
    const logged = [];
    /** @type {Record<string, (...args: any[]) => unknown>} */
    const apis = {
      callInWindow(path, ...args) {
        allowed.needGlobal(path, 'execute');
        return reach(page, path)(...args);
      },
      copyFromWindow(path) {
        allowed.needGlobal(path, 'read');
        return structuredClone(reach(page, path));
      },
      createArgumentsQueue(name, array) {
        for (const right of /** @type {const} */ (['read', 'write', 'execute'])) allowed.needGlobal(name, right);
        for (const right of /** @type {const} */ (['read', 'write'])) allowed.needGlobal(array, right);
        if (!reach(page, name))
          put(page, name, function () {
            reach(page, array).push(arguments);
          });
        if (!reach(page, array)) put(page, array, []);
        return reach(page, name);
      },
      encodeUriComponent: (text) => encodeURIComponent(text),
      getType: (value) => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value),
      injectScript(url, then, fail) {
        allowed.needScript(url);
        inject(url, then, fail);
      },
      logToConsole: (...args) => void logged.push(args.join(' ')),
    };
    const require = (/** @type {string} */ name) => {
      if (!apis[name]) throw new Error(`${name} is not an API of the sandbox`);
      return apis[name];
    };
    const given = {
      ...data,
      gtmOnSuccess: () => resolve({ ok: true, logged }),
      gtmOnFailure: () => resolve({ ok: false, logged }),
    };
    try {
      // Neither window nor document nor any other global: what is not required is undefined.
      const hidden = ['window', 'document', 'self', 'globalThis', 'fetch', 'location', 'encodeURIComponent', 'console'];
      new Function('require', 'data', ...hidden, `'use strict';${parts.SANDBOXED_JS_FOR_WEB_TEMPLATE}`)(require, given);
    } catch (error) {
      reject(error);
    }
  });
