<?php
// PHP's own binding of libssh2 (PECL ssh2).
[$program, $host, $port, $login, $cipher, $key, $rekey] = $argv;
if ((int)$rekey > 0 || $login === 'keyboard-interactive') {
    exit(77);
}
$way = ['crypt' => $cipher];
$session = @ssh2_connect($host, (int)$port, $cipher === '' ? [] : ['client_to_server' => $way, 'server_to_client' => $way]);
if ($session === false) {
    exit($cipher === '' ? 1 : 77);      // (it does not tell a cipher that it does not have from any other failure)
}
$in = $login === 'none' ? ssh2_auth_none($session, 'tester')
    : ($login === 'password' ? ssh2_auth_password($session, 'tester', 'secret')
    : ssh2_auth_pubkey_file($session, 'tester', "$key.pub", $key));
if ($in !== true) {
    exit(1);
}
$channels = [];
for ($i = 0; $i < (int)(getenv('CHANNELS') ?: 1); $i++) {
    $channels[] = ssh2_exec($session, getenv('COMMAND') ?: 'cat');
}
if ($trips = (int)getenv('PING')) {
    stream_set_blocking($channels[0], true);
    $began = hrtime(true);
    for ($i = 0; $i < $trips; $i++) {
        fwrite($channels[0], str_repeat('x', 64));
        for ($left = 64; $left > 0; $left -= strlen(fread($channels[0], $left)));
    }
    printf("%d\n", (hrtime(true) - $began) / 1000);
    exit(0);
}
$data = stream_get_contents(STDIN);
foreach ($channels as $channel) {
    stream_set_blocking($channel, false);
    for ($at = 0; $at < strlen($data) || !feof($channel);) {
        $piece = substr($data, $at, 32768);
        $sent = $piece === '' ? 0 : (int)fwrite($channel, $piece);
        $at += $sent;
        if ($piece !== '' && $at >= strlen($data)) {
            ssh2_send_eof($channel);
        }
        $got = (string)fread($channel, 65536);
        fwrite(STDOUT, $got);
        if ($sent === 0 && $got === '') {
            usleep(500);
        }
    }
}
exit(stream_get_meta_data($channels[0])['exit_status'] ?? 0);
