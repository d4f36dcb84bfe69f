/* Inside the room of settings.h: the option table of sshload. */
#include "load/settings.h"
#include "sshecho/version.h"

const char *const load_mode_names[] = {"ping", "stream", "connect", "hold", NULL};
const char *const load_direction_names[] = {"both", "up", "down", NULL};
static const char *const arrivals_names[] = {"even", "poisson", NULL};
static const char *const content_names[] = {"auto", "text", "binary", NULL};
static const char *const level_names[] = {"error", "warn", "info", "debug", "trace", NULL};
static const char *const format_names[] = {"kv", "json", NULL};

#define AT(field) offsetof(struct load_options, field)
#define LOAD "Load"
#define SESSION "Session"
#define TIMEOUTS "Time-outs"
#define OUTPUT "Output"
#define SERVER "The server's side"
#define MACHINES "Several machines"
#define HOUR_US UINT64_C(3600000000)

static const struct option_spec specs[] = {
    {"mode", 'm', OPTION_CHOICE, AT(mode), 0, 0, "ping", load_mode_names, "MODE",
     "What to do: ping (messages echoed), stream (bulk data), connect (whole sessions), hold (many idle sessions).",
     LOAD, 0},
    {"connections", 'c', OPTION_COUNT, AT(connections), 1, 1000000, "10", NULL, "N",
     "Connections at the same time, over all threads, processes and shards.", LOAD, 0},
    {"channels", 'C', OPTION_COUNT, AT(channels), 1, 1000, "1", NULL, "N", "Channels per connection.", LOAD, 0},
    {"threads", 't', OPTION_COUNT, AT(threads), 1, 256, "1", NULL, "N",
     "Threads, each with its own share of the connections; over all processes, of which each has one at least.", LOAD,
     0},
    {"processes", 0, OPTION_STRING, AT(processes), 0, 0, "auto", NULL, "N",
     "Split the run over so many processes, 1 to 256; auto: as many as the file descriptors of one make necessary.",
     LOAD, 0},
    {"duration", 'd', OPTION_DURATION, AT(duration_us), 1000, 720 * HOUR_US, "10s", NULL, "TIME",
     "Length of the measurement (does not apply with --count).", LOAD, 0},
    {"count", 'n', OPTION_COUNT, AT(count), 1, UINT64_C(1000000000000), "off", NULL, "N",
     "Measure this many operations instead of a time: messages, or connections in connect mode.", LOAD,
     OPTION_OFF_ALLOWED},
    {"warmup", 'w', OPTION_DURATION, AT(warmup_us), 0, HOUR_US, "0", NULL, "TIME",
     "Time under load before the measurement, not counted.", LOAD, OPTION_OFF_ALLOWED},
    {"size", 's', OPTION_STRING, AT(size), 0, 0, NULL, NULL, "SIZE",
     "Message size: SIZE, LOW-HIGH, exp:MEAN or SIZE:WEIGHT,... (default 64; in stream mode " LIBSSH_PACKET_TEXT
     ", which fills a "
     "packet).",
     LOAD, 0},
    {"rate", 'r', OPTION_STRING, AT(rate), 0, 0, "off", NULL, "PROFILE",
     "Open loop: operations per second in total, by a fixed plan: N, or parts joined by commas: A..B over TIME, N for "
     "TIME, spike N for TIME; off is closed loop.",
     LOAD, 0},
    {"arrivals", 0, OPTION_CHOICE, AT(arrivals), 0, 0, "even", arrivals_names, "KIND",
     "When the operations of a rate are due: even, or poisson (by chance, from --seed).", LOAD, 0},
    {"spin", 0, OPTION_BOOL, AT(spin), 0, 0, "no", NULL, NULL,
     "Never sleep while traffic flows: each thread takes a core, and is punctual to some microseconds.", LOAD, 0},
    {"pipeline", 0, OPTION_COUNT, AT(pipeline), 1, 4096, "1", NULL, "N",
     "Messages of one channel that may be sent and not yet answered; what is due beyond it waits.", LOAD, 0},
    {"direction", 0, OPTION_CHOICE, AT(direction), 0, 0, "both", load_direction_names, "WAY",
     "stream: both, up (the default request is then exec:discard) or down (exec:chargen).", LOAD, 0},
    {"content", 0, OPTION_CHOICE, AT(content), 0, 0, "auto", content_names, "KIND",
     "What messages hold: text (letters and digits, harmless should a real shell read them), binary (every byte value) "
     "or auto: text for --request shell, else binary.",
     LOAD, 0},
    {"ramp", 0, OPTION_DURATION, AT(ramp_us), 0, 24 * HOUR_US, "0", NULL, "TIME",
     "Spread the first connects evenly over this time.", LOAD, OPTION_OFF_ALLOWED},
    {"connecting", 0, OPTION_COUNT, AT(connecting), 1, 1000000, "8", NULL, "N",
     "Handshakes in progress at the same time during the ramp, over all threads, processes and shards (OpenSSH's "
     "MaxStartups drops more than 10).",
     LOAD, OPTION_OFF_ALLOWED},
    {"sample", 0, OPTION_COUNT, AT(sample), 0, 1000000, "100", NULL, "N", "hold: sessions that are pinged.", LOAD,
     OPTION_OFF_ALLOWED},
    {"sample-interval", 0, OPTION_DURATION, AT(sample_interval_us), 1000, HOUR_US, "1s", NULL, "TIME",
     "hold: how often each session of the sample is pinged.", LOAD, 0},
    {"final-ping", 0, OPTION_BOOL, AT(final_ping), 0, 0, "yes", NULL, NULL,
     "hold: ping every session once after the measured time, spread over a while; one that does not answer has failed.",
     LOAD, 0},
    {"reconnect-after", 0, OPTION_COUNT, AT(reconnect_after), 1, UINT64_C(1000000000000), "off", NULL, "N",
     "Close and reconnect a connection after this many messages.", LOAD, OPTION_OFF_ALLOWED},
    {"reconnect-every", 0, OPTION_DURATION, AT(reconnect_every_us), 1000, 720 * HOUR_US, "off", NULL, "TIME",
     "Close and reconnect a connection after this time.", LOAD, OPTION_OFF_ALLOWED},
    {"retry", 0, OPTION_DURATION, AT(retry_us), 1000, HOUR_US, "off", NULL, "TIME",
     "Reconnect this long after a connection was lost or failed; off leaves it down.", LOAD, OPTION_OFF_ALLOWED},
    {"verify", 0, OPTION_BOOL, AT(verify), 0, 0, "yes", NULL, NULL, "Compare every byte that comes back.", LOAD, 0},
    {"seed", 0, OPTION_COUNT, AT(seed), 0, 0, "1", NULL, "N", "Seed of contents and random sizes.", LOAD, 0},

    {"user", 'l', OPTION_STRING, AT(user), 0, 0, NULL, NULL, "NAME",
     "User name where a target gives none (default: yours).", SESSION, 0},
    {"users", 0, OPTION_STRING, AT(users), 0, 0, NULL, NULL, "FILE",
     "Log in as many: a line NAME:PASSWORD or NAME:KEYFILE each (a path that begins with /, ./ or ~/), taken in turn.",
     SESSION, 0},
    {"request", 0, OPTION_STRING, AT(request), 0, 0, NULL, NULL, "WHAT",
     "What each channel asks for: shell (default), exec:COMMAND or subsystem:NAME.", SESSION, 0},
    {"pty", 0, OPTION_BOOL, AT(pty), 0, 0, "no", NULL, NULL, "Ask for a terminal first.", SESSION, 0},
    {"insecure", 'k', OPTION_BOOL, AT(insecure), 0, 0, "no", NULL, NULL,
     "Accept any host key (on loopback the default).", SESSION, 0},
    {"known-hosts", 0, OPTION_STRING, AT(known_hosts), 0, 0, NULL, NULL, "FILE",
     "Check host keys against this file (default ~/.ssh/known_hosts).", SESSION, 0},
    {"host-key", 0, OPTION_STRING, AT(host_key), 0, 0, NULL, NULL, "FINGERPRINT",
     "Accept only the host key with this SHA256:... fingerprint.", SESSION, 0},
    {"auth", 0, OPTION_STRING_LIST, AT(auth), 0, 0, NULL, NULL, "METHOD",
     "Login methods in the order to try: none, publickey, agent, password, keyboard-interactive (default: none, then "
     "what there is material for).",
     SESSION, 0},
    {"identity", 'I', OPTION_STRING_LIST, AT(identity), 0, 0, NULL, NULL, "FILE",
     "Private key to log in with; repeatable.", SESSION, 0},
    {"password-file", 0, OPTION_STRING, AT(password_file), 0, 0, NULL, NULL, "FILE",
     "File whose first line is the password.", SESSION, 0},
    {"password-env", 0, OPTION_STRING, AT(password_env), 0, 0, NULL, NULL, "NAME",
     "Environment variable that holds the password.", SESSION, 0},
    {"ask-password", 0, OPTION_BOOL, AT(ask_password), 0, 0, "no", NULL, NULL, "Prompt for the password.", SESSION,
     OPTION_COMMAND_LINE},
    {"ciphers", 0, OPTION_STRING, AT(ciphers), 0, 0, NULL, NULL, "LIST", "Ciphers to offer, best first.", SESSION, 0},
    {"kex", 0, OPTION_STRING, AT(kex), 0, 0, NULL, NULL, "LIST", "Key exchange methods to offer.", SESSION, 0},
    {"macs", 0, OPTION_STRING, AT(macs), 0, 0, NULL, NULL, "LIST", "Message authentication codes to offer.", SESSION,
     0},
    {"host-key-algorithms", 0, OPTION_STRING, AT(host_key_algorithms), 0, 0, NULL, NULL, "LIST",
     "Host key algorithms to accept.", SESSION, 0},
    {"compression", 0, OPTION_STRING, AT(compression), 0, 0, "none", NULL, "LIST", "Compression methods to offer.",
     SESSION, 0},
    {"rekey-bytes", 0, OPTION_SIZE, AT(rekey_bytes), 1024, 0, "off", NULL, "SIZE",
     "Start a key re-exchange after this many bytes (off: as the cipher needs it).", SESSION, OPTION_OFF_ALLOWED},
    {"rekey-interval", 0, OPTION_DURATION, AT(rekey_interval_us), 1000000, 24 * HOUR_US, "off", NULL, "TIME",
     "Start a key re-exchange after this time, in whole seconds.", SESSION, OPTION_OFF_ALLOWED},
    {"bind", 'b', OPTION_STRING_LIST, AT(bind), 0, 0, NULL, NULL, "ADDR",
     "Local address to connect from, or a range of them (127.0.0.0/24); repeatable, taken in turn.", SESSION, 0},

    {"connect-timeout", 0, OPTION_DURATION, AT(connect_timeout_us), 1000, HOUR_US, "5s", NULL, "TIME",
     "For the TCP connection.", TIMEOUTS, 0},
    {"handshake-timeout", 0, OPTION_DURATION, AT(handshake_timeout_us), 1000, HOUR_US, "15s", NULL, "TIME",
     "From the TCP connection to the first echo.", TIMEOUTS, 0},
    {"timeout", 'T', OPTION_DURATION, AT(timeout_us), 1000, HOUR_US, "10s", NULL, "TIME",
     "For the echo of a message, and for the peer's answer to a close.", TIMEOUTS, 0},
    {"drain-timeout", 0, OPTION_DURATION, AT(drain_timeout_us), 0, HOUR_US, "5s", NULL, "TIME",
     "After the measurement, for what is still outstanding.", TIMEOUTS, OPTION_OFF_ALLOWED},

    {"interval", 'i', OPTION_DURATION, AT(interval_us), 1000, HOUR_US, "off", NULL, "TIME",
     "Print a line on stdout this often; also the length of the intervals that files keep (off: 1s).", OUTPUT,
     OPTION_OFF_ALLOWED},
    {"progress", 0, OPTION_BOOL, AT(progress), 0, 0, "yes", NULL, NULL,
     "Keep a line about progress on stderr, if that is a terminal.", OUTPUT, 0},
    {"live", 0, OPTION_BOOL, AT(live), 0, 0, "no", NULL, NULL,
     "Show a small view of the run on the terminal (stderr) instead: rate, sessions, latencies, errors, generator.",
     OUTPUT, 0},
    {"metrics-listen", 0, OPTION_STRING, AT(metrics_listen), 0, 0, NULL, NULL, "ADDR:PORT",
     "Serve the run to Prometheus there while it goes on; port 0 takes a free one, and stderr says which.", OUTPUT, 0},
    {"quiet", 'q', OPTION_BOOL, AT(quiet), 0, 0, "no", NULL, NULL, "Print no report.", OUTPUT, 0},
    {"json", 0, OPTION_STRING, AT(json), 0, 0, NULL, NULL, "FILE", "Write the result as JSON; - is stdout.", OUTPUT, 0},
    {"hdr", 0, OPTION_STRING, AT(hdr), 0, 0, NULL, NULL, "FILE",
     "Write the latency percentiles in the text form of HdrHistogram, in milliseconds.", OUTPUT, 0},
    {"hlog", 0, OPTION_STRING, AT(hlog), 0, 0, NULL, NULL, "FILE",
     "Write the latencies of each interval in the log format of HdrHistogram (1.2), in microseconds.", OUTPUT, 0},
    {"csv", 0, OPTION_STRING, AT(csv), 0, 0, NULL, NULL, "FILE",
     "Write a row for each interval: counts, percentiles, errors, sessions.", OUTPUT, 0},
    {"label", 0, OPTION_STRING, AT(label), 0, 0, NULL, NULL, "TEXT", "A name for this run, for reports and plots.",
     OUTPUT, 0},
    {"percentiles", 0, OPTION_STRING, AT(percentiles), 0, 0, "50,90,99,99.9", NULL, "LIST",
     "Percentiles that the report shows, up to eight.", OUTPUT, 0},
    {"repeat", 0, OPTION_COUNT, AT(repeat), 1, 1000, "1", NULL, "N",
     "Run so often, and report median and 95 % interval of each figure; --json FILE then writes FILE-1, FILE-2, ...",
     OUTPUT, OPTION_COMMAND_LINE},
    {"fail-if", 0, OPTION_STRING_LIST, AT(fail_if), 0, 0, NULL, NULL, "CONDITION",
     "Exit with 99 when this holds, e.g. 'p99 > 5ms', 'errors > 0', 'rate < 1000'; repeatable.", OUTPUT, 0},
    {"log-level", 0, OPTION_CHOICE, AT(log_level), 0, 0, "warn", level_names, "LEVEL",
     "What goes to the log on stderr.", OUTPUT, 0},
    {"log-format", 0, OPTION_CHOICE, AT(log_format), 0, 0, "kv", format_names, "FORMAT", "kv or json.", OUTPUT, 0},
    {"batching", 0, OPTION_BOOL, AT(batching), 0, 0, "yes", NULL, NULL,
     "Batch the socket reads and writes of libssh; no is the plain path.", OUTPUT, 0},
    {"crypto-shortcuts", 0, OPTION_BOOL, AT(crypto_shortcuts), 0, 0, "yes", NULL, NULL,
     "Answer libssh in libcrypto's place for padding and keys built before; no leaves it all to libcrypto.", OUTPUT, 0},

    {"server-metrics", 0, OPTION_STRING, AT(server_metrics), 0, 0, NULL, NULL, "URL",
     "Read the server's CPU time and memory from this page for Prometheus (sshechod's /metrics) and report what an "
     "echo, "
     "a GB, a handshake and a session cost it.",
     SERVER, 0},
    {"server-pid", 0, OPTION_COUNT, AT(server_pid), 1, INT32_MAX, "off", NULL, "PID",
     "The same of a process on this machine and all that descend from it; memory is the proportional set size.", SERVER,
     OPTION_OFF_ALLOWED},
    {"server-cgroup", 0, OPTION_STRING, AT(server_cgroup), 0, 0, NULL, NULL, "DIR",
     "The same of a control group (version 2, or cpuacct), which counts also what has ended.", SERVER, 0},

    {"shard", 0, OPTION_STRING, AT(shard), 0, 0, NULL, NULL, "I/N",
     "Be part I (from 1) of N of the run; /N takes I from JOB_COMPLETION_INDEX (from 0).", MACHINES, 0},
    {"start-at", 0, OPTION_STRING, AT(start_at), 0, 0, NULL, NULL, "TIME",
     "Start the load at this instant (2026-11-20T23:07:54Z, or seconds since 1970) and report how late it was.",
     MACHINES, 0},
    {"tell", 0, OPTION_BOOL, AT(tell), 0, 0, "no", NULL, NULL,
     "Tell progress on stderr in lines for a program, once an interval: what --agents adds up.", MACHINES, 0},
    {"agents", 0, OPTION_STRING, AT(agents), 0, 0, NULL, NULL, "HOST,...",
     "Run on these hosts, reached by ssh, each a shard of the run; all begin at once, and their results are merged.",
     MACHINES, OPTION_COMMAND_LINE},
    {"agent-ssh", 0, OPTION_STRING, AT(agent_ssh), 0, 0, "ssh", NULL, "COMMAND",
     "What reaches an agent: OpenSSH's ssh with words of its own, e.g. 'ssh -F FILE'.", MACHINES, OPTION_COMMAND_LINE},
    {"agent-command", 0, OPTION_STRING, AT(agent_command), 0, 0, "sshload", NULL, "PATH",
     "Where sshload is on the agents.", MACHINES, OPTION_COMMAND_LINE},

    {"help", 'h', OPTION_BOOL, AT(help), 0, 0, "no", NULL, NULL, "Print this and exit.", "Help", OPTION_COMMAND_LINE},
    {"version", 'V', OPTION_BOOL, AT(version), 0, 0, "no", NULL, NULL, "Print versions and exit.", "Help",
     OPTION_COMMAND_LINE},
};

const struct option_table load_option_table = {
    .specs = specs,
    .count = sizeof specs / sizeof specs[0],
    .program = "sshload",
    .usage = "sshload [OPTION]... [USER@]HOST[:PORT]...\n"
             "       sshload ab -n N [OPTION]... TARGET_A TARGET_B\n"
             "       sshload find --slo CONDITION [OPTION]... TARGET\n"
             "       sshload run SCENARIO\n"
             "       sshload --agents HOST,... [OPTION]... TARGET...\n"
             "       sshload compare A.json... -- B.json... [--tolerance PERCENT]\n"
             "       sshload merge FILE.json... [--json FILE]\n"
             "       sshload plot FILE.json... -o OUT.svg",
};

int settings_read(struct settings *settings, int argc, char **argv, struct string_list *positional,
                  struct option_error *error)
{
    *settings = (struct settings){0};
    if (options_init(&load_option_table, &settings->options, &settings->given, error) != 0) {
        return -1;
    }
    return options_parse_arguments(&load_option_table, &settings->options, &settings->given, argc, argv, positional,
                                   error);
}
