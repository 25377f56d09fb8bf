//! PHP injection: code for PHP's interpreter, and settings that make it load some.

use super::Family;
use super::rule::{Form, Rule, RuleSet, fair, strong};

const LISTS: &[(&str, &str)] = &[
    // Functions whose names nobody writes in prose.
    (
        "fn",
        r"(?:base64_(?:en|de)code|gz(?:inflate|deflate|uncompress|compress|decode|encode|open|file|read|write|passthru)|bz(?:de)?compress|bz(?:open|read|write)|str_rot13|call_user_(?:func|method)(?:_array)?|create_function|shell_exec|passthru|popen|proc_open|pcntl_\w+|phpinfo|phpversion|php_\w+|get_(?:defined|cfg|current|loaded)_\w+|getenv|putenv|ini_\w+|set_time_limit|file_(?:get|put)_contents|file_exists|fopen|p?fsockopen|fputs|fwrite|fread|fgets|readfile|move_uploaded_file|opendir|readdir|scandir|symlink|unlink|is_(?:array|int|string|numeric|callable|file|dir|null|bool|object|readable|writable|uploaded_file)|in_array|array_\w+|str_\w+|preg_\w+|mysqli?_\w+|pg_(?:query|connect|exec)|posix_\w+|ob_start|var_dump|var_export|print_r|func_get_args?|function_exists|unserialize|simplexml_\w+|curl_(?:exec|init|setopt)|stream_\w+|highlight_(?:file|string)|show_source|parse_str|register_\w+_function|openssl_\w+|mb_\w+|json_(?:en|de)code|htmlspecialchars|addslashes|stripslashes|urldecode|hex2bin|bin2hex|pack|strrev|chdir|tempnam|tmpfile|touch|lcg_value|mt_rand|array_map|sys_get\w+|zend_version|error_reporting)",
    ),
    (
        "risky",
        r"(?:system|exec|eval|assert|passthru|shell_exec|popen|proc_open|base64_decode|file_put_contents|create_function|include|require)",
    ),
    ("gap", r"(?:\s|/\*.{0,80}?\*/|//[^\n]{0,80}\n|#[^\n]{0,80}\n)*"),
];

const RULES: &[Rule] = &[
    strong(
        &["$_get", "$_post", "$_request", "$_cookie", "base64_decode", "gzinflate", "str_rot13", "$_server"],
        r"(?:system|exec|eval|assert|passthru|shell_exec|popen|create_function|include|require)%gap%\(?\s*@?(?:\$_(?:get|post|request|cookie|server)\b|base64_decode\s*\(|gzinflate\s*\(|str_rot13\s*\()",
        "PHP that runs what the next request brings",
    ),
    strong(&["<?"], r"<\?(?:php|=)?.{0,200}?(?:system|passthru|shell_exec|assert|proc_open)\s*\(", "PHP that runs a command"),
    fair(&["<?"], r"<\?(?:php\b|=|\s)", "the beginning of a PHP program"),
    fair(&["("], r"%fn%%gap%\([^)]{0,400}\)", "a call of a PHP function"),
    fair(
        &["system", "exec", "eval", "assert", "include", "require"],
        r#"(?:^|[^a-z_])(?:system|exec|eval|assert|include|require)(?:_once)?\(\s*(?:['"$@]|\w+\()"#,
        "a call of a PHP function that runs code",
    ),
    fair(
        &["$_", "$globals"],
        r"\$_(?:get|post|request|cookie|server|files|env|session)\b|\$globals\b|\$_[\w\s]{0,16}\[\s*['\x22]",
        "PHP's variables of a request",
    ),
    fair(
        &["$"],
        r"@?\$+\s*(?:\{[^}]{1,100}\}|[a-z_]\w{0,60})\s*%gap%(?:\[[^()]{0,100}?\]%gap%|->\s*\w+\s*|\{[^}]{1,60}\}\s*)*%gap%\([^)]{0,400}\)",
        "a call of a function whose name is in a variable",
    ),
    fair(&["${", "$ ", "$\t"], r"\$\s*\{\s*[$@]?(?:[a-z]\w{0,60}|[A-Z]\w{0,60}[a-z]\w{0,60})", "a variable of PHP in a text")
        .on(Form::Cased),
    fair(&["("], r#"[\])}'"]%gap%\(%gap%['"@$]?[\w./ -]{1,80}['"]?%gap%\)\s*;"#, "a call of a function whose name is put together"),
    fair(&["("], r#"[\])}'"]%gap%\(%gap%(?:'[^']{1,80}'|"[^"]{1,80}"|@\w+)%gap%\)"#, "a call of a function whose name is put together"),
    fair(
        &[
            "allow_url", "auto_", "disable_func", "open_basedir", "safe_mode", "extension_dir", "suhosin", "cgi.", "output_buff",
            "sendmail_path", "error_log",
        ],
        r"(?:allow_url_(?:include|fopen)|auto_(?:prepend|append)_file|disable_functions|open_basedir|safe_mode|extension_dir|suhosin\.\w+|cgi\.force_redirect|output_buffering|sendmail_path|error_log)\s*=",
        "a setting of PHP",
    ),
    strong(&["-d"], r"^\s*-d\s+\w+=|-d\s*allow_url_include", "arguments for PHP on the command line (CVE-2012-1823)"),
    fair(&["o:", "c:"], r#"(?:^|[;{:\s])[oc]:\+?\d+:"[a-z_\\][\w\\]*":\+?\d+:\{"#, "a serialised PHP object"),
    strong(
        &["invokefunction", "call_user_func_array"],
        r"invokefunction.{0,80}call_user_func_array",
        "ThinkPHP's function call (CVE-2018-20062)",
    ),
    fair(&["("], r"\b[a-z0-9]+_[a-z0-9_]+%gap%\([^)]{0,300}\)", "a call of a function"),
    fair(&["("], r#"\b[a-z_]\w{2,40}\(\s*(?:'[^']{0,200}'|"[^"]{0,200}"|\$\w+|[a-z_]\w*\()"#, "a call of a function"),
    fair(
        &["("],
        r#"\b(?:fopen|fgets|feof|file|filesize|fileperms|fileowner|glob|chgrp|chown|chmod|chdir|chroot|mkdir|rmdir|rename|copy|readlink|realpath|link|dl|mail|syslog|extract|compact|constant|define|usleep|header|setcookie|getcwd|getmyuid|getlastmod|unpack|s?printf|vprintf|die|exit|strtr|substr|implode|explode|isset|unset|empty|intval|strval|settype|gettype|rawurlencode|urlencode|crypt|md5|sha1|crc32|hash|uniqid|getimagesize|imagepng|imagejpeg|ftok|stat|lstat|fstat|rewind|fpassthru|fputcsv|ftp_\w+|eval|exec|system|assert|include|require|phpcredits|php_sapi_name)\(\s*(?:\)|['"$@&\d]|\w{3,}|\w+\()"#,
        "a call of a PHP function",
    ),
    fair(&["?>"], r"\?>", "the end of a PHP program"),
    fair(
        &[
            "$http_", "$argc", "$argv", "$php_errormsg", "http_", "path_", "query_string", "request_", "script_filename", "document_root",
            "php_self", "server_",
        ],
        r"\$http_\w+_vars|\$arg[cv]\b|\$php_errormsg|\$http_raw_post_data|\b(?:http_(?:accept|connection|host|keep_alive|referer|user_agent|x_forwarded)\w*|path_(?:info|translated)|query_string|request_(?:uri|method)|script_filename|document_root|orig_path_info|php_self|server_(?:name|addr|software))\b",
        "PHP's variables of a request",
    ),
    fair(
        &["="],
        r"\b(?:session\.\w+|mail\.\w+|mbstring\.\w+|zend\.\w+|assert\.\w+|soap\.\w+|opcache\.\w+|phar\.\w+|user_ini\.\w+|max_execution_time|memory_limit|upload_tmp_dir|display_errors|error_(?:append|prepend)_string|file_uploads|register_globals|magic_quotes_\w+|short_open_tag|include_path|user_agent|variables_order|log_errors|doc_root|user_dir|enable_dl|html_errors|docref_\w+|unserialize_callback_func|xmlrpc_errors|arg_separator\.\w+|browscap|implicit_flush|post_max_size|request_order)\s*=",
        "a setting of PHP",
    ),
    fair(&["php]"], r"\[[/\\]?php\]", "the beginning of a PHP program"),
    fair(&["{$"], r"\{\$[a-z_]\w*", "a variable of PHP in a text"),
    fair(&["()", "( )"], r"\b[a-z_]\w{1,40}\(\s*\)", "a call of a function"),
    fair(&["o:", "c:"], r#"^[oc]:\+?\d+:"[\w\\]*""#, "a serialised PHP object"),
    fair(&["${", "$ "], r#"\$\s*\{\s*['"]"#, "a variable of PHP whose name is put together"),
    fair(&["_"], r"\b(?:[a-z0-9]{2,20}_){1,6}[a-z0-9]{2,20}\(\s*['\x22$]?[^)]{0,200}$", "a call of a function"),
];

pub(super) const SET: RuleSet = RuleSet { family: Family::PhpInjection, lists: LISTS, rules: RULES };
