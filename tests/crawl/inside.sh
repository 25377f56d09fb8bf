#!/bin/bash
# Inside the root file system and namespaces that `run` made: starts the servers, fills the applications, crawls them.
set -eu
lines=$1
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
ip link set lo up 2>/dev/null || python3 - <<'PY'
import fcntl, socket, struct
s = socket.socket()
fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: IFF_UP, IFF_RUNNING
PY
hostname crawled
mount -t tmpfs tmpfs /run
mkdir -p /run/mysqld /run/php /dev/shm
[ -c /dev/null ] || mknod -m 666 /dev/null c 1 3
[ -c /dev/urandom ] || mknod -m 666 /dev/urandom c 1 9
chown mysql /run/mysqld

rm -rf /var/lib/mysql && mkdir /var/lib/mysql && chown mysql /var/lib/mysql
mariadb-install-db --user=mysql --auth-root-authentication-method=normal >/dev/null
mariadbd --user=mysql --skip-networking=0 --bind-address=127.0.0.1 >/var/log/mariadbd.log 2>&1 &
for _ in $(seq 60); do mariadb-admin ping >/dev/null 2>&1 && break; sleep 0.5; done
mariadb -e "CREATE DATABASE wordpress; CREATE DATABASE shop; CREATE USER app@localhost IDENTIFIED BY 'app'; GRANT ALL ON *.* TO app@localhost WITH GRANT OPTION"
mariadb shop -e "CREATE TABLE orders (id INT PRIMARY KEY AUTO_INCREMENT, customer VARCHAR(80), note TEXT, total DECIMAL(10,2));
    INSERT INTO orders (customer, note, total) VALUES ('O''Brien & Sons', 'call before delivery', 12.5), ('Müller', '-- none --', 99), ('D''Angelo', '1=1 gift', 0);
    CREATE TABLE \`user groups\` (id INT PRIMARY KEY, name VARCHAR(40)); INSERT INTO \`user groups\` VALUES (1,'admins'),(2,'select few')"

cat >/etc/wordpress/config-default.php <<'PHP'
<?php
define('DB_NAME', 'wordpress'); define('DB_USER', 'app'); define('DB_PASSWORD', 'app'); define('DB_HOST', 'localhost');
define('WP_CONTENT_DIR', '/var/lib/wordpress/wp-content'); define('WP_HTTP_BLOCK_EXTERNAL', true); define('DISABLE_WP_CRON', true);
PHP
cat >/etc/phpmyadmin/conf.d/crawl.php <<'PHP'
<?php
$cfg['Servers'][1] = ['host' => 'localhost', 'auth_type' => 'config', 'user' => 'app', 'password' => 'app'];
PHP
rm -rf /var/lib/mediawiki/LocalSettings.php /etc/mediawiki/LocalSettings.php /var/lib/wiki /tmp/pages; mkdir /var/lib/wiki && chown www-data /var/lib/wiki
php /usr/share/mediawiki/maintenance/install.php --dbtype sqlite --dbpath /var/lib/wiki --server http://wiki.test --scriptpath '' \
    --confpath /etc/mediawiki --pass 'Long-Enough-1' --with-extensions Wiki admin >/var/log/wiki-install.log 2>&1 || tail -3 /var/log/wiki-install.log
chown -R www-data /var/lib/wiki /var/lib/wordpress
[ -e /var/lib/mediawiki/LocalSettings.php ] || ln -sf /etc/mediawiki/LocalSettings.php /var/lib/mediawiki/LocalSettings.php
chmod 644 /etc/mediawiki/LocalSettings.php

cat >/etc/nginx/nginx.conf <<'NGINX'
user www-data; worker_processes 2; pid /run/nginx.pid; error_log /var/log/nginx/error.log;
events { worker_connections 512; }
http {
    include /etc/nginx/mime.types; access_log /var/log/nginx/access.log combined; client_max_body_size 8m;
    map $host $docs { wordpress.test /usr/share/wordpress; wiki.test /usr/share/mediawiki; pma.test /usr/share/phpmyadmin; adminer.test /usr/share/adminer; }
    server {
        listen 127.0.0.1:80; server_name wordpress.test wiki.test pma.test adminer.test; root $docs; index index.php;
        location ~ ^/wp-content/ { root /var/lib/wordpress; }
        location / { try_files $uri $uri/ /index.php$is_args$args; }
        location ~ \.php(/|$) {
            fastcgi_split_path_info ^(.+\.php)(/.*)$; include /etc/nginx/fastcgi_params; fastcgi_param PATH_INFO $fastcgi_path_info;
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; fastcgi_pass unix:/run/php/fpm.sock; fastcgi_read_timeout 60;
        }
    }
}
NGINX
sed -i 's#^listen = .*#listen = /run/php/fpm.sock#; s#^pm.max_children = .*#pm.max_children = 4#' /etc/php/*/fpm/pool.d/www.conf
cp /usr/share/adminer/adminer.php /usr/share/adminer/index.php 2>/dev/null || ls /usr/share/adminer
$(ls /usr/sbin/php-fpm*) --daemonize
rm -f /var/log/nginx/access.log
nginx
grep -q wordpress.test /etc/hosts 2>/dev/null || echo "127.0.0.1 wordpress.test wiki.test pma.test adminer.test" >>/etc/hosts
php /root/fill.php
python3 /root/crawl.py "$lines"
nginx -s quit
wc -l /var/log/nginx/access.log
