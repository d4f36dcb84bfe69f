"""What the benchmark drivers (scripts/bench-*) share.

meter    CPU and memory of a server, all its processes
servers  starts sshechod, sshd, Dropbear and the TCP floor, each on a loopback port of its own
peers    echo servers on other libraries (test/peers), and tinysshd
load     one run of sshload (or tcp-load), with the server's CPU over exactly the measured time
machine  what the figures were measured on; the ciphers' own speed
verdict  whether a run of sshload says anything about the server
hdr      the histograms in result files
report   medians, tables, verdicts, JSON and Markdown
suites   several Debians side by side, from what bench-peers measured in each
session  command line, temporary directory, and that nothing is left running

Needs Python 3.9 and nothing beyond its standard library.
"""
