<?php
require 'phpseclib3/autoload.php';
[$program, $host, $port, $login, $cipher, $key, $rekey] = $argv;
if ((int)$rekey > 0) {
    exit(77);
}
$ssh = new phpseclib3\Net\SSH2($host, (int)$port, 20);
$ssh->setTimeout(20);
if ($cipher !== '') {
    if (!in_array($cipher, phpseclib3\Net\SSH2::getSupportedEncryptionAlgorithms())) {
        exit(77);
    }
    $way = ['crypt' => [$cipher]];
    $ssh->setPreferredAlgorithms(['client_to_server' => $way, 'server_to_client' => $way]);
}
$private = phpseclib3\Crypt\PublicKeyLoader::load(file_get_contents($key));
$in = $login === 'none' ? $ssh->login('tester')
    : ($login === 'publickey' ? $ssh->login('tester', $private)
    : $ssh->login('tester', 'secret'));
if (!$in) {
    fwrite(STDERR, implode("\n", $ssh->getErrors()));
    exit(1);
}
$ssh->startSubsystem('cat');    // a command has no standard input here, and nothing has an end of it
$data = stream_get_contents(STDIN);
$got = '';
foreach (str_split($data, 100000) as $piece) {
    $ssh->write($piece);
    while (strlen($got) < strlen($data) && !$ssh->isTimeout() && strlen($got) + 400000 < strlen($data)) {
        $more = $ssh->read('', phpseclib3\Net\SSH2::READ_NEXT);
        $got .= $more;
        break;
    }
}
while (strlen($got) < strlen($data) && is_string($more = $ssh->read('', phpseclib3\Net\SSH2::READ_NEXT)) && $more !== '') {
    $got .= $more;
}
fwrite(STDOUT, $got);
exit(0);
