require "net/ssh"

host, port, login, cipher, key, rekey = ARGV
options = { port: port.to_i, auth_methods: [login], password: "secret", keys: [key], keys_only: true, config: false,
            verify_host_key: :never, non_interactive: true, use_agent: false, timeout: 20 }
options[:encryption] = [cipher] unless cipher.empty?
exit 77 unless cipher.empty? || Net::SSH::Transport::Algorithms::ALGORITHMS[:encryption].include?(cipher)
options[:rekey_blocks_limit] = rekey.to_i / 16 if rekey.to_i > 0
data = $stdin.binmode.read
$stdout.binmode
status = 1
Net::SSH.start(host, "tester", **options) do |session|
  session.open_channel do |channel|
    channel.exec("cat") do |running, granted|
      exit 2 unless granted
      running.on_data { |_, piece| $stdout.write(piece) }
      running.on_request("exit-status") { |_, reply| status = reply.read_long }
      running.send_data(data)
      running.eof!
    end
  end
  session.loop
end
exit status
