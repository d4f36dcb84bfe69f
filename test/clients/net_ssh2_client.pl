#!/usr/bin/perl
# Perl's Net::SSH2, a binding of libssh2.
use strict;
use warnings;
use Net::SSH2;
use Time::HiRes qw(time usleep);

my ($host, $port, $login, $cipher, $key, $rekey) = @ARGV;
exit 77 if $rekey > 0;
my $ssh = Net::SSH2->new(timeout => 20000);
if ($cipher ne '') {
    $ssh->method('crypt_cs', $cipher) && $ssh->method('crypt_sc', $cipher) or exit 77;
}
$ssh->connect($host, $port) or $ssh->die_with_error;
if ($login eq 'password') {
    $ssh->auth_password('tester', 'secret') or $ssh->die_with_error;
} elsif ($login eq 'publickey') {
    $ssh->auth_publickey('tester', "$key.pub", $key) or $ssh->die_with_error;
} elsif ($login eq 'keyboard-interactive') {
    $ssh->auth_keyboard('tester', 'secret') or $ssh->die_with_error;
} else {
    $ssh->auth_list('tester');
    $ssh->auth_ok or die "not let in by none\n";
}
my @channels;
for (1 .. $ENV{CHANNELS} || 1) {
    my $channel = $ssh->channel or $ssh->die_with_error;
    $channel->exec($ENV{COMMAND} || 'cat') or $ssh->die_with_error;
    push @channels, $channel;
}
if (my $trips = $ENV{PING}) {
    my $began = time;
    for (1 .. $trips) {
        $channels[0]->write('x' x 64);
        for (my $left = 64; $left > 0;) { $left -= $channels[0]->read(my $piece, $left) // $ssh->die_with_error }
    }
    printf "%d\n", 1e6 * (time - $began);
    exit 0;
}
binmode STDIN;
binmode STDOUT;
my $data = do { local $/; <STDIN> } // '';
my $status = 1;
$ssh->blocking(0);
for my $channel (@channels) {
    my ($at, $ended) = (0, 0);
    until ($channel->eof) {
        my $moved = 0;
        if ($at < length $data) {
            my $sent = $channel->write(substr $data, $at, 32768) // 0;
            ($at, $moved) = ($at + $sent, $sent) if $sent > 0;
        }
        $ended = $channel->send_eof if $at == length $data && !$ended;
        while (my $got = $channel->read(my $piece, 65536)) { print $piece; $moved += $got }
        usleep(500) unless $moved;
    }
}
$ssh->blocking(1);
$channels[-1]->wait_closed;
$status = $channels[-1]->exit_status;
$ssh->disconnect;
exit $status;
