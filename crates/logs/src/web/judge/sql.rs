//! SQL injection: text that ends the value it was put into and goes on as SQL; and the query operators of document databases.

use super::Family;
use super::rule::{Rule, RuleSet, fair, strong};

const LISTS: &[(&str, &str)] = &[
    ("join", r"(?:or|and|xor|\|\||&&)"),
    ("lit", r#"(?:\d+(?:\.\d+)?|'[^']{0,40}'|"[^"]{0,40}")"#),
    ("cmp", r"(?:<=>|<>|!=|=|<|>|\blike\b|\brlike\b|\bregexp\b|\bis\s+(?:not\s+)?(?:null|true|false)\b)"),
];

const RULES: &[Rule] = &[
    strong(
        &["union"],
        r#"\bunion[\s(]+(?:all[\s(]+|distinct[\s(]+)?select[\s(]*(?:null|@|\d|'|"|concat|char\s*\(|version|user\s*\(|database\s*\(|load_file|unhex|hex\s*\(|group_concat|`)"#,
        "a union with a second select",
    ),
    fair(&["union"], r"union[\s(]*(?:all[\s(]+|distinct[\s(]+)?select", "a union with a second select"),
    strong(
        &["or", "and", "||", "&&"],
        r#"['"`]\s*\)*\s*%join%\s*(?:not\s+|!\s*)?\(*\s*%lit%\s*%cmp%\s*\(*(?:\d|'|"|null|true|false)"#,
        "a quote that ends the value, and a condition that is always true or false",
    ),
    fair(
        &["or", "and", "||", "&&"],
        r#"['"`)]\s*%join%\s*\(*['"]?[\w.@]+['"]?\s*(?:=|<|>|!|\blike\b|\bglob\b|\brlike\b|\bregexp\b|\bis\s+(?:not\s+)?null\b|\bin\s*\(|\bbetween\b|-(?:-|\s*$))"#,
        "a quote that ends the value, and a condition",
    ),
    fair(
        &["or", "and", "||", "&&"],
        r#"(?:^|[\d\s)])%join%\s+(?:not\s+)?\(*['"]?\d+['"]?\s*(?:=|<|>|!=|\blike\b|\bbetween\b)"#,
        "a condition on a constant behind a number",
    ),
    fair(&["or", "and"], r"\d\s+(?:or|and)\s+(?:true|false|null|not\s+\d)\s*(?:--|#|/\*|$)", "a constant condition behind a number"),
    fair(&["="], r"^\W*\d+\s*(?:=|<=>|!=|<>)\s*\d+\W*$", "a comparison of two constants"),
    fair(
        &["--", "#", "/*"],
        r#"^[^'"]{0,64}['"]\s*\)*\s*;?\s*(?:--|#|/\*)[\s+-]*$"#,
        "a quote and a comment that hides the rest of the statement",
    ),
    strong(
        &[";"],
        r#"['"]\s*\)*\s*;\s*(?:select\s+[\w*'"@(]|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s|drop\s+(?:table|database|user|schema)\s|alter\s+table\s|create\s+(?:table|user|function)\s|exec(?:ute)?[\s(]+\w|declare\s+@|waitfor\s+delay|shutdown\b|truncate\s+table)"#,
        "a second statement behind a quote",
    ),
    fair(
        &["insert", "update", "delete", "drop", "alter", "create", "truncate", "declare", "waitfor"],
        r"(?:^|[;(\d])\s*(?:insert\s+into\s+\w|update\s+\w+\s+set\s|delete\s+from\s+\w|drop\s+(?:table|database|schema)\s+\w|alter\s+table\s+\w|create\s+(?:table|function)\s+\w|truncate\s+table\s|declare\s+@\w|waitfor\s+(?:delay|time)\s)",
        "a statement that changes the database",
    ),
    fair(
        &["select"],
        r#"\bselect\b\s*(?:\*|@@|\(|[\w.,`'"()@\s]{1,200}[,(][\w.,`'"()@*\s]{0,200}|\w+)\s*\bfrom\b[\s(`"]+[\w.`"]+\s*(?:where\b|limit\b|group\s+by|order\s+by|union\b|;|--|#|\))|\bselect\b\s*(?:\*|[\w.`()]+\s*,[^;]{0,200}|\w+\s*\([^;]{0,200})\s*\bfrom\b\s*\w"#,
        "a select of its own",
    ),
    fair(
        &["select"],
        r"\(\s*select\b[\s(].{1,400}\)|\bselect\s+@@|\bselect\s+(?:sleep|version|user|database|load_file|pg_sleep|char)\s*\(",
        "a select inside the value",
    ),
    strong(
        &["sleep", "benchmark"],
        r#"(?:\bselect\b|\bor\b|\band\b|\bunion\b|['"]|-\s*\()\W{0,6}(?:pg_sleep|sleep|benchmark)\s*\(\s*['"\d(]"#,
        "a delay that tells the attacker that the statement ran",
    ),
    // Behind an operator or a word of SQL: "100 ways to sleep(8)" is a title.
    fair(
        &["sleep", "benchmark"],
        r#"(?:^|[,(|;=*+/%&!<>'")-])\s*(?:pg_sleep|sleep|benchmark)\s*\(\s*\d|\b(?:and|or|xor|not|select|then|else|when|like|rlike|in|by|having|where|case|set|limit|div|mod)[\s(]+(?:pg_sleep|sleep|benchmark)\s*\(\s*\d"#,
        "a function that makes the database wait",
    ),
    strong(&["waitfor"], r#"waitfor\s+delay\s*['"(]"#, "a delay that tells the attacker that the statement ran"),
    strong(
        &["extractvalue", "updatexml"],
        r#"(?:extractvalue|updatexml)\s*\(\s*(?:\d|rand|null|@|concat|')[^)]{0,200}(?:concat|0x|select|char)"#,
        "an XML function that puts data into an error message",
    ),
    strong(
        &["ascii", "ord", "substr", "mid", "length"],
        r"(?:\band\b|\bor\b|\bwhere\b|[,(])\s*(?:ascii|ord|substr|substring|mid|length|char_length)\s*\(+\s*(?:select|user\s*\(|database\s*\(|version\s*\(|substr|password|@@)",
        "a question about the database, one character at a time",
    ),
    fair(
        &["load_file", "outfile", "dumpfile", "xp_", "utl_", "dbms_", "openrowset", "procedure", "sys.", "pg_read_file", "pg_ls_dir"],
        r"load_file\s*\(|into\s+(?:out|dump)file\b|\bxp_(?:cmdshell|dirtree|regread)|utl_(?:http|inaddr|file)\.|dbms_(?:pipe|lock|ldap|xmlgen|java)|openrowset\s*\(|procedure\s+analyse|sys\.fn_|pg_(?:read_file|ls_dir)\s*\(",
        "a function that reaches out of the database",
    ),
    fair(
        &["information_schema", "sqlite_master", "pg_catalog", "sysobjects", "all_tables", "@@", "mysql.user"],
        r"information_schema|sqlite_master|pg_catalog|sysobjects|\ball_tables\b|@@(?:version|datadir|hostname|basedir|global|session)|mysql\.user",
        "the tables in which the database describes itself",
    ),
    fair(
        &["concat", "char", "exp", "unhex", "0x", "chr"],
        r"concat(?:_ws)?\s*\(\s*(?:0x|char|chr|')|group_concat\s*\(|\bch(?:a?)r\s*\(\s*\d+\s*(?:,|\)\s*(?:\|\||\+|\.))|exp\s*\(\s*~|unhex\s*\(|(?:=|,|\(|\s)0x[0-9a-f]{8,}",
        "a string put together so that filters do not see it",
    ),
    fair(
        &["case", "if", "like", "order", "group", "having", "rlike", "regexp", "null", "limit", "between", "collate"],
        r#"\bcase\s+when\b.{1,200}\bthen\b|\bif\s*\(\s*\d+\s*=|\)\s*like\s*\(|\blike\s+(?:binary\s+)?['"(]|\border\s+by\s+\d+\s*(?:--|#|/\*|,\s*\d)|\bgroup\s+by\s+\w.{0,80}\bhaving\b|\bhaving\s+(?:(?:count|sum|avg|min|max)\s*\(|\d)|\br(?:like|egexp)\s+['"(]|['"\d)]\s+is\s+(?:not\s+)?null\b|\blimit\s+\d+\s*,\s*\d+\s*(?:--|#|into)|\bbetween\s+\d+\s+and\s+\d+\s*(?:--|#|/\*)|\bcollate\s+\w+_"#,
        "a clause of SQL",
    ),
    fair(&["/*"], r"/\*[!+].{0,400}\*/", "a comment that the database reads as code or a hint"),
    fair(&["[$"], r"\[\$(?:ne|eq|gte?|lte?|in|nin|regex|where|exists|or|and|not|elemmatch)\]", "a query operator of MongoDB in a name"),
    fair(
        &["$ne", "$gt", "$lt", "$regex", "$where", "$or", "$in", "$nin", "$exists"],
        r#"['"]?\$(?:ne|gte?|lte?|regex|where|or|nin|in|exists)['"]?\s*:\s*['"\d\[{tfn]"#,
        "a query operator of MongoDB in JSON",
    ),
    strong(&["$where"], r"\$where\W{1,8}(?:this\.|function|sleep\s*\(|return\s|true|\d)", "code for MongoDB's $where"),
    strong(
        &["or", "and"],
        r#"['"`]\s*\)*\s*(?:or|and|xor)\s*\(*\s*\d+\s*(?:=|<|>|!=)"#,
        "a quote that ends the value, and a condition on a constant",
    ),
    fair(&["=", "<", ">"], r#"['"]\s*(?:=|<|>|!=)\s*['"]"#, "a quote that ends the value, and a comparison"),
    fair(&["'", "\""], r#"^\s*['"]\s*(?:;|\)|\|\||&&|--|#|\+|\*|/|=|<|>|-|\^|%)|['"]\s*;"#, "a quote that ends the value, and an operator"),
    fair(
        &["or", "and", "where", "having"],
        r#"\b(?:or|and|xor|where|having)\s+(?:not\s+)?[\w.'"`()@-]{1,60}\s*(?:=|<|>|!=|\blike\s|\bin\s*\(|\bbetween\s|\bregexp\b|\bis\s+(?:not\s+)?null)"#,
        "a condition of SQL",
    ),
    fair(&["!=", "<>", "<=>", "&&", "||"], r#"['"\w)]\s*(?:!=|<>|<=>|&&|\|\|)\s*['"\d(]|\w(?:<>|<=>|!=)\w"#, "an operator of SQL"),
    fair(
        &[
            "not", "sounds", "div", "match", "merge", "execute", "exec", "create", "declare", "shutdown", "character", "call", "handler",
            "grant", "rename",
        ],
        r#"\bnot\s+(?:in\s*\(|like\s+['"(]|between\s+\d|regexp\b|exists\s*\()|\bsounds\s+like\b|\d\s+div\s+\d|\bmatch\s*\(?.{1,60}\bagainst\s*\(|\bmerge\s.{1,60}\busing\s*\(|\bexec(?:ute)?\s+(?:immediate|master|xp_|sp_|\(|@)|\bcreate\s+(?:or\s+replace\s+)?(?:function|procedure|view|trigger|user|database)\s+\w|\bdeclare\s+\w+\s+(?:int|varchar|char|text|number)|[;'"]\s*shutdown\b|\balter\s+\w+.{0,60}\bcharacter\s+set\b|\bhandler\s+\w+\s+(?:open|read)|\bgrant\s+\w+\s+on\s"#,
        "a clause of SQL",
    ),
    fair(
        &["("],
        r"\b(?:aes_(?:de|en)crypt|ascii|bit_(?:and|or|xor|length)|cast|char_length|coalesce|collation|compress|connection_id|convert|curdate|curtime|current_user|database|datediff|elt|export_set|extractvalue|find_in_set|found_rows|from_(?:base64|days|unixtime)|get_lock|ifnull|inet_(?:aton|ntoa)|instr|isnull|json_\w+|last_insert_id|lcase|load_file|locate|lpad|ltrim|make_set|makedate|name_const|nullif|old_password|ord|password|quote_\w+|release_lock|row_count|rpad|rtrim|schema|session_user|soundex|strcmp|str_to_date|substr(?:ing)?(?:_index)?|sysdate|system_user|to_(?:base64|days|char|number)|ucase|uncompress|unhex|unix_timestamp|updatexml|user|utc_\w+|uuid|version|weekday|xmltype|randomblob|zeroblob|sqlite_\w+|pg_\w+|dbms_\w+)\s*\(",
        "a function of a database",
    ),
    fair(&["union"], r"union.{0,20}select.{0,80}from", "a union with a second select"),
    fair(&["`"], r"`[\w.* ]{1,60}`", "a quoted name of SQL"),
    fair(
        &["::", "@>", "<@", "->"],
        r#"['"\])]\s*::\s*(?:jsonb?|text|int\w*|varchar|numeric)|['"}]\s*(?:@>|<@)|\w\s*->>?\s*['"$]"#,
        "an operator of SQL on JSON",
    ),
    fair(&[".e", "e("], r"\d\.e\(|\b\d+\.?e\(", "a number written so that filters do not see it"),
    fair(
        &[
            "northwind", "tempdb", "pg_toast", "msysaccess", "msdb", "mysql.db", "master..", "sysusers", "syscolumns", "user_tables",
            "all_objects", "sys.user", "database(",
        ],
        r"\b(?:northwind|tempdb|pg_toast|msysaccess\w+|msdb|mysql\.db|master\.\.|sys(?:users|columns|logins)|user_tables|all_objects|sys\.user_\w+)\b|\bdatabase\(",
        "the tables in which the database describes itself",
    ),
    fair(&["or", "and"], r#"['"\d]\s*\b(?:or|and)\s+not\b"#, "a condition of SQL"),
    fair(&["\\'", "\\\""], r#"\\['"]\s*(?:;|,|\)|\bor\b|\band\b|\bunion\b|--|#)"#, "a quote behind a backslash"),
    fair(
        &["order", "group", "exists", "alter", "delete", "returns", "into"],
        r"\border\s+by\s+\d+\s*$|\bexists\s*\(\s*select\b|^\s*(?:alter\s+\w+\s+\w+|delete\s+from)\b|\breturns\s+(?:string|integer|int|real)\b|\bselect\b.{1,100}\binto\s+\w",
        "a clause of SQL",
    ),
    fair(
        &["or", "and", "alter", "union", "collate", "null", "like", "glob", "having", "order", "group", "limit", "regexp", "between"],
        r#"['"](?:or|and|xor)(?:[\s('"\d?]|$)|['"`]\s*(?:alter|union|collate|notnull|isnull|i?like|glob|having|order\s+by|group\s+by|limit\s+\d|r(?:egexp|like)|between)\b"#,
        "a quote that ends the value, and a clause of SQL",
    ),
    fair(&["--", "#", "/*"], r#"['"`].{0,200}(?:--|#|/\*)[\s+]*$"#, "a quote and a comment that hides the rest of the statement"),
    fair(&["in"], r"\bin\s*\(\s*-?\d+\s*,", "a clause of SQL"),
    fair(
        &[";"],
        r";\s*(?:insert\s+into|update\s+\w+|set\s+@|drop\b|delete\s+from|select\b|alter\s+\w+|create\s+\w+|truncate\b|exec\b)",
        "a second statement",
    ),
    fair(&["||", "&&"], r"(?:\|\||&&)\s*\(?\s*\w+\s*[!=<>]=?", "a condition"),
    fair(&[" as"], r#"\bas\s*['"]\w*['"]?\s*from\b"#, "a clause of SQL"),
    fair(&["like"], r"\d\s+like\s+\d|\w\s+ilike\s+\w", "a comparison of SQL"),
    fair(&["values"], r#"\bvalues\s*\(\s*['"\d]"#, "a clause of SQL"),
    fair(&["or", "and"], r#"(?:^|['"`])\s*(?:or|and|xor)\s+\(*['"]?\d"#, "a condition on a constant"),
    fair(&["like", " is "], r"\blike\s+null\b|\d\s+is\s+(?:not\s+)?(?:\d|true|false|null)", "a comparison of SQL"),
];

pub(super) const SET: RuleSet = RuleSet { family: Family::SqlInjection, lists: LISTS, rules: RULES };
