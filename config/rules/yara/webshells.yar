// Webshells by what they do: code or commands that come with a request are run, or a shell is hidden in layers of encoding.

rule webshell_php_hidden_call
{
    meta:
        description = "PHP that calls a function whose name it puts together or decodes, on what a request sends"
        technique = "T1505.003"
    strings:
        $php = /<\?(php|=)/ nocase
        $request = /\$_(GET|POST|REQUEST|COOKIE|SERVER)\b/
        $create = /create_function\s{0,8}\(\s{0,8}(''|""|['"]\$?\w{0,20}['"])\s{0,8},\s{0,8}\$_(GET|POST|REQUEST|COOKIE)/ nocase
        $replace = /preg_replace\s{0,8}\(\s{0,8}['"](.)[^\n]{0,60}\/[imsux]{0,6}e[imsux]{0,6}['"]\s{0,8},\s{0,8}\$_(GET|POST|REQUEST|COOKIE)/ nocase
        $mapped = /(array_map|call_user_func(_array)?|register_shutdown_function)\s{0,8}\(\s{0,8}\$_(GET|POST|REQUEST|COOKIE)\s{0,8}[\[{]/ nocase
        // Of these the callback is the second argument; the first is what is sorted or sifted.
        $sifted = /\b(array_filter|usort|uasort|uksort)\s{0,8}\([^;\n]{1,80},\s{0,8}\$_(GET|POST|REQUEST|COOKIE)\s{0,8}[\[{]/ nocase
        $called = /\$_(GET|POST|REQUEST|COOKIE)\s{0,8}\[[^\]\n]{1,40}\]\s{0,8}\(\s{0,8}\$_(GET|POST|REQUEST|COOKIE)/
        $include = /\b(include|require)(_once)?\s{0,8}\(?\s{0,8}['"]?(data:|php:\/\/input)/ nocase
    condition:
        filesize < 2MB and $php and (1 of ($create, $replace, $mapped, $sifted, $called) or ($include and $request))
}

rule webshell_php_layers
{
    meta:
        description = "PHP that unpacks and runs several layers of encoded code"
        technique = "T1505.003"
    strings:
        $php = /<\?(php|=)/ nocase
        $layers = /\b(eval|assert)\s{0,8}\(\s{0,8}(@\s{0,4})?(gzinflate|gzuncompress|gzdecode|str_rot13|strrev|base64_decode|convert_uudecode|rawurldecode)\s{0,8}\(\s{0,8}(gzinflate|gzuncompress|gzdecode|str_rot13|strrev|base64_decode|convert_uudecode|rawurldecode)\s{0,8}\(/ nocase
        $escaped = /\$\w{1,20}\s{0,4}=\s{0,4}"(\\x[0-9a-f]{2}|\\[0-7]{2,3}){6,40}"/ nocase
        $runs = /\$\w{1,20}\s{0,4}\(\s{0,4}\$\w{1,20}\s{0,4}\(/
        $block = /['"][A-Za-z0-9+\/=]{1000}/
    condition:
        filesize < 2MB and $php and ($layers or (#escaped > 3 and $runs and $block))
}

rule webshell_jsp_loads_class
{
    meta:
        description = "JSP that decrypts what a request sends and loads it as a class"
        technique = "T1505.003"
    strings:
        $jsp = "<%"
        $cipher = /Cipher\.getInstance\s{0,4}\(\s{0,4}"AES/
        $define = /\.defineClass\s{0,4}\(/
        $input = /request\.(getReader|getInputStream|getParameter)\s{0,4}\(/
    condition:
        filesize < 1MB and all of them
}
