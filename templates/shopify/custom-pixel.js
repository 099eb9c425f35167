// Counterfoil for Shopify: paste into Settings → Customer events → Add custom pixel. Permission: Marketing.
// `counterfoil snippet --shopify` writes the next line for your site.
const SETTINGS = { relay: '', site: '', pixels: [], contentId: 'variant', tr: 'https://www.facebook.com/tr/' };

// Shopify's standard events → Meta's. Lists of products are none of Meta's events.
const NAMES = {
  page_viewed: 'PageView',
  product_viewed: 'ViewContent',
  search_submitted: 'Search',
  product_added_to_cart: 'AddToCart',
  checkout_started: 'InitiateCheckout',
  payment_info_submitted: 'AddPaymentInfo',
  checkout_completed: 'Purchase',
};
const PATIENCE_MS = 2500;

let { marketingAllowed = false, saleOfDataAllowed = true } = init.customerPrivacy || {};
api.customerPrivacy.subscribe('visitorConsentCollected', ({ customerPrivacy }) => {
  ({ marketingAllowed, saleOfDataAllowed } = customerPrivacy);
});

const idOf = (variant) =>
  ({ variant: variant.id, product: variant.product && variant.product.id, sku: variant.sku })[SETTINGS.contentId];

/** Meta's custom_data of some lines: `[variant, quantity, price]`. */
const products = (lines) => {
  const contents = lines
    .filter(([variant]) => variant && idOf(variant))
    .map(([variant, quantity, price]) => ({ id: String(idOf(variant)), quantity, item_price: Number(price) }));
  return { content_type: 'product', content_ids: contents.map(({ id }) => id), contents };
};

const worth = (money) => (money ? { value: Number(money.amount), currency: money.currencyCode } : {});

const ofCheckout = ({ lineItems = [], totalPrice, currencyCode, order }) => ({
  ...products(lineItems.map(({ variant, quantity }) => [variant, quantity, variant && variant.price.amount])),
  ...worth(totalPrice && { currencyCode, ...totalPrice }),
  num_items: lineItems.reduce((sum, { quantity }) => sum + quantity, 0),
  ...(order && order.id && { order_id: String(order.id) }),
});

/** @returns {object} Meta's custom_data of a Shopify event */
const customData = ({ name, data }) => {
  switch (name) {
    case 'product_viewed': {
      const variant = data.productVariant;
      return { ...products([[variant, 1, variant.price.amount]]), ...worth(variant.price), content_name: variant.product.title };
    }
    case 'product_added_to_cart': {
      const { merchandise, quantity, cost } = data.cartLine;
      return { ...products([[merchandise, quantity, merchandise.price.amount]]), ...worth(cost.totalAmount) };
    }
    case 'search_submitted':
      return { search_string: data.searchResult.query };
    case 'checkout_started':
    case 'payment_info_submitted':
    case 'checkout_completed':
      return ofCheckout(data.checkout);
    default:
      return {};
  }
};

/** What the visitor has typed into the checkout; the relay hashes it before it is kept. */
const userData = ({ data, clientId }) => {
  const { email, phone, shippingAddress, billingAddress, order } = (data && data.checkout) || {};
  const address = shippingAddress || billingAddress || {};
  const customer = (order && order.customer) || (init.data && init.data.customer) || {};
  const found = {
    em: email || customer.email,
    ph: phone || address.phone || customer.phone,
    fn: address.firstName,
    ln: address.lastName,
    ct: address.city,
    st: address.provinceCode,
    zp: address.zip,
    country: address.countryCode,
    external_id: customer.id || clientId,
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value));
};

const read = async (name) => (await browser.cookie.get(name)) || '';
const keep = (name, value) => browser.cookie.set(`${name}=${value}; path=/; max-age=7776000; SameSite=Lax; Secure`);

/** `_fbp` and `_fbc` of the shop's own cookies; what is missing is made, as Meta's script would. */
const identify = async ({ context }) => {
  let [fbp, fbc] = await Promise.all([read('_fbp'), read('_fbc')]);
  if (!fbp) keep('_fbp', (fbp = `fb.1.${Date.now()}.${String(Math.random()).slice(2, 12)}`));
  const click = new URLSearchParams(context.document.location.search).get('fbclid');
  if (click && /^[\w-]{1,500}$/.test(click) && fbc.split('.')[3] !== click)
    keep('_fbc', (fbc = `fb.1.${Date.now()}.${click}`));
  return { fbp, ...(fbc && { fbc }) };
};

/** The Pixel's own request: fbevents.js would read this frame's cookies and address, which are nobody's. */
const pixelUrl = (pixel, event, ids, values, limited) => {
  const { location, referrer } = event.context.document;
  const query = new URLSearchParams({ id: pixel, ev: NAMES[event.name], eid: event.id, dl: location.href, rl: referrer || '' });
  query.set('ts', String(Date.now()));
  for (const [key, value] of Object.entries(ids)) query.set(key, value);
  for (const [key, value] of Object.entries(values))
    query.set(`cd[${key}]`, typeof value === 'object' ? JSON.stringify(value) : String(value));
  if (limited) for (const [key, value] of [['dpo', 'LDU'], ['dpoco', '0'], ['dpost', '0']]) query.set(key, value);
  return `${SETTINGS.tr}?${query}`;
};

const post = (body) =>
  fetch(`${SETTINGS.relay}/v1/events`, { method: 'POST', body: JSON.stringify(body), keepalive: true, credentials: 'omit' });

const send = async (event) => {
  if (!marketingAllowed) return;
  const began = performance.now();
  const age = () => Math.round(performance.now() - began);
  const [ids, values, limited] = [await identify(event), customData(event), saleOfDataAllowed === false];
  const dispatched_ms = age();
  const tell = (state, evidence, settled_ms) =>
    post({
      site: SETTINGS.site,
      events: [
        {
          event_name: NAMES[event.name],
          event_id: event.id,
          age_ms: age(),
          url: event.context.document.location.href,
          referrer: event.context.document.referrer || '',
          ...ids,
          custom_data: values,
          user_data: userData(event),
          consent: 'granted',
          ...(limited && { data_processing_options: ['LDU'], data_processing_options_country: 0, data_processing_options_state: 0 }),
          pixel: { state, evidence, transport: 'fetch', dispatched_ms, ...(settled_ms !== undefined && { settled_ms }) },
        },
      ],
    }).catch(() => {});

  // The Pixel first, then the relay with what became of it; where no answer comes, the relay is told so and told again.
  const requests = SETTINGS.pixels.map((pixel) =>
    fetch(pixelUrl(pixel, event, ids, values, limited), { mode: 'no-cors', credentials: 'include', keepalive: true }),
  );
  const settled = Promise.all(requests).then(
    () => ['sent', 'fetch', age()],
    () => ['blocked', 'fetch-error', age()],
  );
  const waited = new Promise((resolve) => setTimeout(() => resolve(), PATIENCE_MS));
  if (!(await Promise.race([settled, waited]))) await tell('pending', 'settle-timeout');
  await tell(...(await settled));
};

for (const name of Object.keys(NAMES)) analytics.subscribe(name, send);
