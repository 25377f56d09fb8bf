<?php
// Gives WordPress and MediaWiki something to read: posts and pages with prose, code, formulas and names with quotes in them.
$texts = [];
foreach (glob('/usr/share/common-licenses/*') as $file) { if (!is_link($file)) { $texts[] = preg_split('/\n\s*\n/', file_get_contents($file)); } }
$paragraphs = array_values(array_filter(array_map('trim', array_merge(...$texts)), fn ($text) => strlen($text) > 80));
$titles = ['C++ and C#', "O'Reilly's animals", 'SELECT and UNION in SQL', 'AC/DC', 'What is 1=1?', 'Rock & Roll', 'The <b> element', '50% off', 'Drop by our table!',
    'How to use cat /etc/hosts', "L'été à Zürich", 'Alert: script not found', 'A -- B', 'user@example.com', '100,000 ways to sleep(8)', 'php://input explained',
    'Order by phone', 'Union square; select streets', 'Exec summary', 'Load file into Excel', 'wget or curl?', '/bin/sh for beginners', "Don't panic", '{{ handlebars }}', '$HOME sweet $HOME'];

$_SERVER['HTTP_HOST'] = 'wordpress.test'; $_SERVER['REQUEST_URI'] = '/'; define('WP_INSTALLING', true);
require '/usr/share/wordpress/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('Ordinary', 'admin', 'admin@example.com', true, '', 'Long-Enough-1');
update_option('permalink_structure', '/%year%/%monthnum%/%postname%/');
update_option('siteurl', 'http://wordpress.test'); update_option('home', 'http://wordpress.test');
for ($i = 0; $i < 120; $i++) {
    $id = wp_insert_post(['post_title' => $titles[$i % count($titles)] . ($i < count($titles) ? '' : " ($i)"), 'post_status' => 'publish', 'post_author' => 1,
        'post_content' => implode("\n\n", array_slice($paragraphs, ($i * 7) % max(1, count($paragraphs) - 5), 5)), 'tags_input' => ['it\'s', 'R&D', "tag $i"]]);
    wp_insert_comment(['comment_post_ID' => $id, 'comment_author' => "D'Arcy", 'comment_content' => $paragraphs[$i % count($paragraphs)], 'comment_approved' => 1]);
}
flush_rewrite_rules();

mkdir('/tmp/pages');
foreach ($titles as $i => $title) { file_put_contents('/tmp/pages/' . strtr($title, ['/' => '_', '<' => '', '>' => '', '{' => '', '}' => '']) . '.txt',
    implode("\n\n", array_slice($paragraphs, $i * 11 % max(1, count($paragraphs) - 9), 9)) . "\n[[" . $titles[($i + 1) % count($titles)] . "]] [[Category:Odd names]]"); }
passthru('cd /tmp/pages && php /usr/share/mediawiki/maintenance/importTextFiles.php --overwrite --user admin *.txt 2>&1 | tail -1');
