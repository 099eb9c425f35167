<?php
/**
 * Plugin Name: Counterfoil
 * Description: Meta Pixel and Conversions API as one event: loads your relay's snippet, signs each Purchase, and sends the server half when a payment is complete.
 * Version: 0.1.0
 * Requires at least: 6.3
 * Requires PHP: 7.4
 * WC requires at least: 7.1
 * License: Apache-2.0
 */

defined('ABSPATH') || exit;

const COUNTERFOIL_STUB = "!function(w){if(w.counterfoil)return;var c=w.counterfoil=function(){(c.q=c.q||[]).push(arguments)};function id(a){var m=/^track(Single)?(Custom)?\$/.exec(a[0]),i=m&&m[1]?4:3,o;if(!m)return a;a=[].slice.call(a);o=a[i]||{};a[i]=Object.assign({eventID:o.event_id||(crypto.randomUUID?crypto.randomUUID():Math.random()+'-'+Date.now())},o);return a}function take(f){var q=f.queue||[],i=0;for(;i<q.length;i++)q[i]=id(q[i]);q.push=function(a){return q[q.length]=id(a)}}if(w.fbq)take(w.fbq);else Object.defineProperty(w,'fbq',{configurable:!0,set:function(f){delete w.fbq;w.fbq=f;Promise.resolve(f).then(take)}})}(window)";
const COUNTERFOIL_TIMEOUT_SECONDS = 10;
// After no answer, 429 or 5xx: about seven hours in all; Meta takes an event for seven days.
const COUNTERFOIL_RETRY_SECONDS = [60, 300, 1800, 7200, 14400];

/**
 * A setting: the constant of wp-config.php where there is one, else the option of the settings page. The two keys are
 * constants only (COUNTERFOIL_SIGNING_KEY, COUNTERFOIL_WRITE_KEY): a database is copied more often than a file of secrets.
 */
function counterfoil_setting($name) {
    $constant = 'COUNTERFOIL_' . strtoupper($name);
    if (defined($constant)) {
        return (string) constant($constant);
    }
    return in_array($name, ['signing_key', 'write_key'], true) ? '' : (string) get_option("counterfoil_$name", '');
}

function counterfoil_relay() {
    return rtrim(counterfoil_setting('relay'), '/');
}

/* The tag */

add_action('wp_enqueue_scripts', 'counterfoil_enqueue', 1);

function counterfoil_enqueue() {
    if (counterfoil_relay() === '' || counterfoil_setting('site') === '') {
        return;
    }
    wp_enqueue_script('counterfoil', counterfoil_relay() . '/c.js', [], null, ['strategy' => 'async', 'in_footer' => false]);
    wp_add_inline_script('counterfoil', COUNTERFOIL_STUB, 'before');
}

add_filter('script_loader_tag', 'counterfoil_tag', 10, 2);

/** The attributes that the snippet reads from its own tag. */
function counterfoil_tag($tag, $handle) {
    if ($handle !== 'counterfoil') {
        return $tag;
    }
    $attributes = ' data-site="' . esc_attr(counterfoil_setting('site')) . '"';
    $consent = counterfoil_setting('consent');
    if ($consent !== '') {
        $attributes .= ' data-consent="' . esc_attr($consent) . '"';
    }
    if ((string) wp_parse_url(counterfoil_relay(), PHP_URL_PATH) !== '') {
        $attributes .= ' data-endpoint="' . esc_attr(counterfoil_relay() . '/v1/events') . '"';
    }
    return preg_replace('/ src=/', $attributes . ' src=', $tag, 1);
}

/* The thank-you page: both halves begin here */

add_action('woocommerce_thankyou', 'counterfoil_thankyou');

function counterfoil_thankyou($order_id) {
    $order = wc_get_order($order_id);
    if (!$order || counterfoil_relay() === '' || $order->get_meta('_counterfoil_rendered') || $order->has_status('failed')) {
        return;
    }
    // Opened again, it would fire the Pixel again, and Meta forgets ids after 48 hours.
    $order->update_meta_data('_counterfoil_rendered', (string) time());
    $order->save();
    $options = ['eventID' => counterfoil_event_id($order), 'userData' => counterfoil_page_user_data($order)];
    if (counterfoil_setting('signing_key') !== '') {
        $options['signature'] = counterfoil_sign('Purchase', $order);
    }
    $call = array_map('counterfoil_json', ['track', 'Purchase', counterfoil_custom_data($order), $options]);
    wp_print_inline_script_tag(COUNTERFOIL_STUB . ';counterfoil(' . implode(',', $call) . ')');
}

function counterfoil_event_id($order) {
    return 'order-' . $order->get_id();
}

/** JSON that may stand in a page's script. */
function counterfoil_json($value) {
    return wp_json_encode($value, JSON_HEX_TAG | JSON_HEX_AMP | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION);
}

/** Meta's custom_data of an order. */
function counterfoil_custom_data($order) {
    $contents = [];
    foreach ($order->get_items() as $item) {
        $contents[] = [
            'id' => (string) ($item->get_variation_id() ?: $item->get_product_id()),
            'quantity' => $item->get_quantity(),
            'item_price' => (float) $order->get_item_total($item, true),
        ];
    }
    return [
        'order_id' => (string) $order->get_order_number(),
        'value' => (float) counterfoil_amount($order->get_total()),
        'currency' => $order->get_currency(),
        'content_type' => 'product',
        'content_ids' => array_column($contents, 'id'),
        'contents' => $contents,
        'num_items' => array_sum(array_column($contents, 'quantity')),
    ];
}

/** What the page may show: hashes, and the shop's own number of the customer. */
function counterfoil_page_user_data($order) {
    return array_filter([
        'em' => $order->get_billing_email() ? hash('sha256', strtolower(trim($order->get_billing_email()))) : '',
        'external_id' => $order->get_customer_id() ? (string) $order->get_customer_id() : '',
    ]);
}

/** A plain decimal with two decimals, or with all it has where it has more. */
function counterfoil_amount($total) {
    $decimals = strlen(explode('.', (string) $total)[1] ?? '');
    return number_format((float) $total, max(2, $decimals), '.', '');
}

/** HMAC-SHA256 over the five lines of docs/signing.md. */
function counterfoil_sign($event_name, $order) {
    $lines = [
        'counterfoil.conversion',
        $event_name,
        (string) $order->get_order_number(),
        counterfoil_amount($order->get_total()),
        strtoupper($order->get_currency()),
    ];
    return hash_hmac('sha256', implode("\n", $lines), counterfoil_setting('signing_key'));
}

/* The server half */

add_action('woocommerce_checkout_create_order', 'counterfoil_remember');
add_action('woocommerce_store_api_checkout_update_order_meta', 'counterfoil_remember');

/** What only the visitor's own request knows: a payment is often completed by a gateway's. */
function counterfoil_remember($order) {
    foreach (['_fbp', '_fbc'] as $name) {
        $value = isset($_COOKIE[$name]) ? (string) wp_unslash($_COOKIE[$name]) : '';
        if (preg_match('/^fb\.[0-2]\.[0-9]{1,15}\.[A-Za-z0-9_-]{1,500}$/', $value)) {
            $order->update_meta_data("_counterfoil$name", $value);
        }
    }
    if (function_exists('wp_has_consent')) {
        $order->update_meta_data('_counterfoil_consent', wp_has_consent('marketing') ? 'granted' : 'denied');
    }
    if (current_action() === 'woocommerce_store_api_checkout_update_order_meta') {
        $order->save();
    }
}

add_action('woocommerce_payment_complete', 'counterfoil_queue');

/** Not now: a slow relay must not slow a checkout. */
function counterfoil_queue($order_id) {
    if (counterfoil_setting('write_key') !== '') {
        counterfoil_later(0, (int) $order_id, 0);
    }
}

function counterfoil_later($seconds, $order_id, $tries) {
    if (function_exists('as_schedule_single_action')) {
        as_schedule_single_action(time() + $seconds, 'counterfoil_send', [$order_id, $tries], 'counterfoil');
    } else {
        wp_schedule_single_event(time() + $seconds, 'counterfoil_send', [$order_id, $tries]);
    }
}

add_action('counterfoil_send', 'counterfoil_send', 10, 2);

function counterfoil_send($order_id, $tries = 0) {
    $order = wc_get_order($order_id);
    if (!$order || counterfoil_relay() === '' || $order->get_meta('_counterfoil_consent') === 'denied') {
        return;
    }
    $answer = wp_remote_post(counterfoil_relay() . '/v1/server-events', [
        'timeout' => COUNTERFOIL_TIMEOUT_SECONDS,
        'headers' => [
            'Authorization' => 'Bearer ' . counterfoil_setting('write_key'),
            'Content-Type' => 'application/json',
        ],
        'body' => wp_json_encode(['events' => [counterfoil_server_event($order)]], JSON_PRESERVE_ZERO_FRACTION),
    ]);
    $status = is_wp_error($answer) ? 0 : (int) wp_remote_retrieve_response_code($answer);
    if ($status === 0 || $status === 429 || $status >= 500) {
        counterfoil_try_again($order, $tries, $status);
        return;
    }
    $body = json_decode((string) wp_remote_retrieve_body($answer), true);
    $trouble = $body['error']['message'] ?? $body['refused'][0]['message'] ?? '';
    if ($trouble !== '') {
        $order->add_order_note("Counterfoil: the relay did not take the Purchase. $trouble");
    }
}

function counterfoil_try_again($order, $tries, $status) {
    if (isset(COUNTERFOIL_RETRY_SECONDS[$tries])) {
        counterfoil_later(COUNTERFOIL_RETRY_SECONDS[$tries], $order->get_id(), $tries + 1);
        return;
    }
    $order->add_order_note("Counterfoil: the relay did not answer ($status); the Purchase has its browser half only.");
}

/** The Purchase as the shop's server knows it; the relay hashes before it stores. */
function counterfoil_server_event($order) {
    $paid = $order->get_date_paid();
    return array_filter([
        'event_name' => 'Purchase',
        'event_id' => counterfoil_event_id($order),
        'event_time' => $paid ? $paid->getTimestamp() : time(),
        'action_source' => 'website',
        'event_source_url' => $order->get_checkout_order_received_url(),
        'consent' => $order->get_meta('_counterfoil_consent') === 'granted' ? 'granted' : null,
        'user_data' => array_filter([
            'em' => $order->get_billing_email(),
            'ph' => $order->get_billing_phone(),
            'fn' => $order->get_billing_first_name(),
            'ln' => $order->get_billing_last_name(),
            'ct' => $order->get_billing_city(),
            'st' => $order->get_billing_state(),
            'zp' => $order->get_billing_postcode(),
            'country' => $order->get_billing_country(),
            'external_id' => $order->get_customer_id() ? (string) $order->get_customer_id() : '',
            'client_user_agent' => $order->get_customer_user_agent(),
            'client_ip_address' => $order->get_customer_ip_address(),
            'fbp' => $order->get_meta('_counterfoil_fbp'),
            'fbc' => $order->get_meta('_counterfoil_fbc'),
        ]),
        'custom_data' => counterfoil_custom_data($order),
    ]);
}

/* The settings page */

add_action('admin_init', 'counterfoil_register_settings');
add_action('admin_menu', 'counterfoil_menu');

const COUNTERFOIL_FIELDS = [
    'relay' => 'The relay\'s address, such as https://relay.shop.example',
    'site' => 'The site\'s key, as in relay.toml',
    'consent' => 'Where consent comes from: wp (WP Consent API), complianz, cookiebot, …; empty: the page\'s own fbq calls',
];

function counterfoil_register_settings() {
    foreach (array_keys(COUNTERFOIL_FIELDS) as $name) {
        register_setting('counterfoil', "counterfoil_$name", [
            'type' => 'string',
            'sanitize_callback' => $name === 'relay' ? 'esc_url_raw' : 'sanitize_text_field',
        ]);
    }
}

function counterfoil_menu() {
    add_options_page('Counterfoil', 'Counterfoil', 'manage_options', 'counterfoil', 'counterfoil_page');
}

function counterfoil_page() {
    echo '<div class="wrap"><h1>Counterfoil</h1><form method="post" action="options.php">';
    settings_fields('counterfoil');
    echo '<table class="form-table">';
    foreach (COUNTERFOIL_FIELDS as $name => $label) {
        $id = "counterfoil_$name";
        printf(
            '<tr><th><label for="%1$s">%2$s</label></th><td><input class="regular-text" id="%1$s" name="%1$s" value="%3$s"></td></tr>',
            esc_attr($id),
            esc_html($label),
            esc_attr((string) get_option($id, ''))
        );
    }
    echo '</table>';
    foreach (['signing_key' => 'signs each Purchase', 'write_key' => 'sends the server half'] as $name => $what) {
        $state = counterfoil_setting($name) === '' ? 'not set' : 'set';
        printf('<p><code>COUNTERFOIL_%s</code> in wp-config.php: %s. It %s.</p>', esc_html(strtoupper($name)), esc_html($state), esc_html($what));
    }
    submit_button();
    echo '</form></div>';
}
