<?php
// phpseclib 2 or 3, as the environment variable PHPSECLIB says ("phpseclib" or "phpseclib3").
$library = getenv('PHPSECLIB');
require "$library/autoload.php";
[$program, $host, $port, $login, $cipher, $key, $rekey] = $argv;
if ((int)$rekey > 0) {
    exit(77);
}
$class = "$library\\Net\\SSH2";
$ssh = new $class($host, (int)$port, 20);
$ssh->setTimeout(20);
if ($cipher !== '') {
    if (!in_array($cipher, $ssh->getSupportedEncryptionAlgorithms())) {
        exit(77);
    }
    $way = ['crypt' => [$cipher]];
    $ssh->setPreferredAlgorithms(['client_to_server' => $way, 'server_to_client' => $way]);
}
$secret = [];
if ($login === 'publickey' && $library === 'phpseclib3') {
    $secret = [phpseclib3\Crypt\PublicKeyLoader::load(file_get_contents($key))];
} elseif ($login === 'publickey') {
    $secret = [new phpseclib\Crypt\RSA()];
    if (!$secret[0]->loadKey(file_get_contents($key))) {
        exit(77);
    }
} elseif ($login !== 'none') {
    $secret = ['secret'];
}
if (!$ssh->login('tester', ...$secret)) {
    fwrite(STDERR, implode("\n", $ssh->getErrors()));
    exit(1);
}
$ssh->startSubsystem('cat');    // a command has no standard input here, and nothing has an end of it
$data = stream_get_contents(STDIN);
$got = '';
foreach (str_split($data, 100000) as $piece) {
    $ssh->write($piece);
    if (strlen($got) + 400000 < strlen($data) && !$ssh->isTimeout()) {
        $got .= $ssh->read('', $class::READ_NEXT);
    }
}
while (strlen($got) < strlen($data) && is_string($more = $ssh->read('', $class::READ_NEXT)) && $more !== '') {
    $got .= $more;
}
fwrite(STDOUT, $got);
exit(0);
