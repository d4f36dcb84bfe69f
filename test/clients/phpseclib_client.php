<?php
// phpseclib 2 or 3, as the environment variable PHPSECLIB says ("phpseclib" or "phpseclib3").
$library = getenv('PHPSECLIB');
require "$library/autoload.php";
[$program, $host, $port, $login, $cipher, $key, $rekey] = $argv;
if ((int)$rekey > 0 || (int)getenv('CHANNELS') > 1) {  // it has one channel of a kind at a time
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
$ssh->startSubsystem(getenv('COMMAND') ?: 'cat');    // a command has no standard input here, and nothing has an end of it
if ($trips = (int)getenv('PING')) {
    $began = hrtime(true);
    for ($i = 0; $i < $trips; $i++) {
        $ssh->write(str_repeat('x', 64));
        for ($left = 64; $left > 0; $left -= strlen($ssh->read('', $class::READ_NEXT)));
    }
    printf("%d\n", (hrtime(true) - $began) / 1000);
    exit(0);
}
if (getenv('COMMAND') === 'chargen') {  // there is no end of it
    while (is_string($ssh->read('', $class::READ_NEXT)));
    exit(1);
}
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
