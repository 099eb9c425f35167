<?php
/**
 * As much of WordPress and WooCommerce as the plugin calls, with the names and arguments of their documentation; hooks
 * are called, HTTP is sent. Reads a scenario as JSON from stdin, runs it, and prints what happened as JSON.
 *
 * Scenario: {"constants": {}, "options": {}, "cookies": {}, "consent": true | false | null, "order": {…}, "insecure": bool,
 *            "do": [["checkout"] | ["head"] | ["thankyou"] | ["paid"] | ["run"]]}
 */

error_reporting(E_ALL);
set_error_handler(function ($level, $message, $file, $line) {
    throw new ErrorException($message, 0, $level, $file, $line);
});

define('ABSPATH', '/');
$scenario = json_decode(stream_get_contents(STDIN), true);
$hooks = [];
$action_now = '';
$scheduled = [];
$registered = [];
$inline = [];
$posts = [];
$_COOKIE = $scenario['cookies'] ?? [];
foreach ($scenario['constants'] ?? [] as $name => $value) {
    define($name, $value);
}

function add_action($name, $callback, $priority = 10, $arguments = 1) {
    $GLOBALS['hooks'][$name][] = [$callback, $arguments];
}
function add_filter($name, $callback, $priority = 10, $arguments = 1) {
    add_action($name, $callback, $priority, $arguments);
}
function do_action($name, ...$given) {
    $GLOBALS['action_now'] = $name;
    foreach ($GLOBALS['hooks'][$name] ?? [] as [$callback, $arguments]) {
        $callback(...array_slice($given, 0, $arguments));
    }
}
function apply_filters($name, $value, ...$given) {
    foreach ($GLOBALS['hooks'][$name] ?? [] as [$callback, $arguments]) {
        $value = $callback(...array_slice([$value, ...$given], 0, $arguments));
    }
    return $value;
}
function current_action() { return $GLOBALS['action_now']; }
function get_option($name, $default = false) { return $GLOBALS['scenario']['options'][$name] ?? $default; }
function esc_attr($text) { return htmlspecialchars($text, ENT_QUOTES); }
function esc_html($text) { return htmlspecialchars($text, ENT_QUOTES); }
function esc_url_raw($url) { return $url; }
function sanitize_text_field($text) { return trim($text); }
function wp_unslash($value) { return stripslashes($value); }
function wp_parse_url($url, $component = -1) { return parse_url($url, $component); }
function wp_json_encode($value, $flags = 0) { return json_encode($value, $flags); }
function register_setting($group, $name, $options = []) {}
function add_options_page($title, $menu, $right, $slug, $page) { $GLOBALS['options_page'] = $page; }
function settings_fields($group) { echo "<input type=hidden name=option_page value=$group>"; }
function submit_button() { echo '<button>Save</button>'; }

function wp_enqueue_script($handle, $src, $needs, $version, $options) {
    $GLOBALS['registered'][$handle] = [$src, $options];
}
function wp_add_inline_script($handle, $code, $position) { $GLOBALS['inline'][$handle] = $code; }
function wp_print_inline_script_tag($code) { echo "<script>\n$code\n</script>\n"; }
/** What WordPress prints in the head for the scripts that were enqueued. */
function print_scripts() {
    foreach ($GLOBALS['registered'] as $handle => [$src, $options]) {
        echo '<script id="' . $handle . '-js-before">' . $GLOBALS['inline'][$handle] . "</script>\n";
        $tag = "<script src=\"$src\" id=\"$handle-js\" {$options['strategy']} data-wp-strategy=\"{$options['strategy']}\"></script>\n";
        echo apply_filters('script_loader_tag', $tag, $handle, $src);
    }
}

if (isset($scenario['consent'])) {
    function wp_has_consent($category) { return $category === 'marketing' && $GLOBALS['scenario']['consent']; }
}
if ($scenario['action_scheduler'] ?? true) {
    function as_schedule_single_action($when, $hook, $arguments, $group) {
        $GLOBALS['scheduled'][] = [$when - time(), $hook, $arguments, $group];
    }
}
function wp_schedule_single_event($when, $hook, $arguments) {
    $GLOBALS['scheduled'][] = [$when - time(), $hook, $arguments, 'wp-cron'];
}

class WP_Error {}
function is_wp_error($thing) { return $thing instanceof WP_Error; }
function wp_remote_retrieve_response_code($answer) { return $answer['status']; }
function wp_remote_retrieve_body($answer) { return $answer['body']; }
/** A real request; the test's names resolve in the browser only, so it goes to this machine. */
function wp_remote_post($url, $arguments) {
    $GLOBALS['posts'][] = ['url' => $url, 'body' => json_decode($arguments['body'], true)];
    $host = parse_url($url, PHP_URL_HOST);
    $lines = ["Host: $host"];
    foreach ($arguments['headers'] as $name => $value) {
        $lines[] = "$name: $value";
    }
    $context = stream_context_create([
        'http' => [
            'method' => 'POST', 'header' => $lines, 'content' => $arguments['body'], 'timeout' => $arguments['timeout'],
            'ignore_errors' => true, 'protocol_version' => 1.1,
        ],
        'ssl' => ['verify_peer' => false, 'verify_peer_name' => false],
    ]);
    try {
        $body = file_get_contents(str_replace($host, '127.0.0.1', $url), false, $context);
    } catch (ErrorException $error) {
        return new WP_Error();
    }
    $head = $http_response_header;
    return ['status' => (int) explode(' ', $head[0])[1], 'body' => $body];
}

class Item {
    private $of;
    public function __construct($of) { $this->of = $of; }
    public function get_variation_id() { return $this->of['variation_id'] ?? 0; }
    public function get_product_id() { return $this->of['product_id']; }
    public function get_quantity() { return $this->of['quantity']; }
    public function price() { return $this->of['price']; }
}
class Order {
    public $meta = [];
    public $notes = [];
    private $of;
    public function __construct($of) { $this->of = $of; }
    public function get_items() { return array_map(fn($item) => new Item($item), $this->of['items']); }
    public function get_item_total($item, $with_tax) { return $item->price(); }
    public function get_meta($name) { return $this->meta[$name] ?? ''; }
    public function update_meta_data($name, $value) { $this->meta[$name] = $value; }
    public function save() {}
    public function has_status($status) { return ($this->of['status'] ?? 'processing') === $status; }
    public function add_order_note($note) { $this->notes[] = $note; }
    public function get_date_paid() { return isset($this->of['paid']) ? new DateTime('@' . $this->of['paid']) : null; }
    public function get_order_number() { return (string) ($this->of['number'] ?? $this->of['id']); }
    public function __call($name, $_) {
        $member = substr($name, 4);
        if (strpos($name, 'get_') !== 0 || !array_key_exists($member, $this->of)) {
            throw new BadMethodCallException("WC_Order::$name is not in this test");
        }
        return $this->of[$member];
    }
}
$order = new Order($scenario['order']);
function wc_get_order($id) { return $id == $GLOBALS['order']->get_id() ? $GLOBALS['order'] : false; }

require __DIR__ . '/../../integrations/wordpress/counterfoil/counterfoil.php';

$printed = [];
foreach ($scenario['do'] as $step) {
    ob_start();
    if ($step === 'checkout') do_action('woocommerce_checkout_create_order', $order, []);
    if ($step === 'block checkout') do_action('woocommerce_store_api_checkout_update_order_meta', $order);
    if ($step === 'head') { do_action('wp_enqueue_scripts'); print_scripts(); }
    if ($step === 'thankyou') do_action('woocommerce_thankyou', $order->get_id());
    if ($step === 'paid') do_action('woocommerce_payment_complete', $order->get_id());
    if ($step === 'settings') { do_action('admin_init'); do_action('admin_menu'); ($options_page)(); }
    if ($step === 'run') {
        [, $hook, $arguments] = array_shift($scheduled);
        do_action($hook, ...$arguments);
    }
    $printed[$step] = ob_get_clean();
}
echo json_encode(['printed' => $printed, 'scheduled' => $scheduled, 'posts' => $posts, 'meta' => $order->meta, 'notes' => $order->notes]);
