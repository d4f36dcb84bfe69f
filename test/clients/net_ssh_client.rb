require "net/ssh"

host, port, login, cipher, key, rekey = ARGV
options = { port: port.to_i, auth_methods: [login], password: "secret", keys: [key], keys_only: true, config: false,
            verify_host_key: :never, non_interactive: true, use_agent: false, timeout: 20 }
options[:encryption] = [cipher] unless cipher.empty?
exit 77 unless cipher.empty? || Net::SSH::Transport::Algorithms::ALGORITHMS[:encryption].include?(cipher)
options[:rekey_blocks_limit] = rekey.to_i / 16 if rekey.to_i > 0
trips = ENV.fetch("PING", 0).to_i
data = trips > 0 ? "x" * 64 : $stdin.binmode.read
outputs = Array.new(ENV.fetch("CHANNELS", 1).to_i) { String.new }
$stdout.binmode
status = 1
Net::SSH.start(host, "tester", **options) do |session|
  outputs.each do |output|
    session.open_channel do |channel|
      channel.exec(ENV.fetch("COMMAND", "cat")) do |running, granted|
        exit 2 unless granted
        began, left = Process.clock_gettime(Process::CLOCK_MONOTONIC, :microsecond), trips
        running.on_data do |_, piece|
          outputs.size > 1 || trips > 0 ? output << piece : $stdout.write(piece)
          next unless trips > 0 && output.size >= 64
          output.clear
          (left -= 1) > 0 ? running.send_data(data) : running.eof!
          output << "#{Process.clock_gettime(Process::CLOCK_MONOTONIC, :microsecond) - began}\n" if left.zero?
        end
        running.on_request("exit-status") { |_, reply| status = reply.read_long }
        running.send_data(data)
        running.eof! unless trips > 0
      end
    end
  end
  session.loop
end
outputs.each { |output| $stdout.write(output) }
exit status
