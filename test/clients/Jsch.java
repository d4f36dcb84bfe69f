import com.jcraft.jsch.ChannelExec;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.Session;
import com.jcraft.jsch.UIKeyboardInteractive;
import com.jcraft.jsch.UserInfo;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Arrays;

class Jsch {
    static class User implements UserInfo, UIKeyboardInteractive {
        public String getPassphrase() { return null; }
        public String getPassword() { return "secret"; }
        public boolean promptPassword(String message) { return true; }
        public boolean promptPassphrase(String message) { return false; }
        public boolean promptYesNo(String message) { return true; }
        public void showMessage(String message) { }
        public String[] promptKeyboardInteractive(String to, String name, String text, String[] prompts, boolean[] echo) {
            String[] answers = new String[prompts.length];
            Arrays.fill(answers, "secret");
            return answers;
        }
    }

    public static void main(String[] a) throws Exception {
        String login = a[2], cipher = a[3], key = a[4];
        int rekey = Integer.parseInt(a[5]);
        JSch jsch = new JSch();
        if (login.equals("publickey")) jsch.addIdentity(key);
        Session session = jsch.getSession("tester", a[0], Integer.parseInt(a[1]));
        session.setConfig("StrictHostKeyChecking", "no");
        session.setConfig("PreferredAuthentications", login);
        if (!cipher.isEmpty()) {
            if (JSch.getConfig(cipher) == null) System.exit(77);
            session.setConfig("cipher.c2s", cipher);
            session.setConfig("cipher.s2c", cipher);
        }
        session.setUserInfo(new User());
        session.connect(20000);
        int count = Integer.parseInt(System.getenv().getOrDefault("CHANNELS", "1"));
        int trips = Integer.parseInt(System.getenv().getOrDefault("PING", "0"));
        ChannelExec[] channels = new ChannelExec[count];
        InputStream[] in = new InputStream[count];
        OutputStream[] out = new OutputStream[count];
        for (int i = 0; i < count; i++) {
            channels[i] = (ChannelExec) session.openChannel("exec");
            channels[i].setCommand(System.getenv().getOrDefault("COMMAND", "cat"));
            in[i] = channels[i].getInputStream();
            out[i] = channels[i].getOutputStream();
            channels[i].connect(20000);
        }
        if (trips > 0) {
            long began = System.nanoTime();
            for (int i = 0; i < trips; i++) {
                out[0].write(new byte[64]);
                out[0].flush();
                in[0].readNBytes(64);
            }
            System.out.println((System.nanoTime() - began) / 1000);
            System.exit(0);
        }
        byte[] data = System.in.readAllBytes();
        Thread writer = new Thread(() -> {
            try {
                for (OutputStream each : out) {
                    for (int at = 0; at < data.length; at += 50000) {
                        each.write(data, at, Math.min(50000, data.length - at));
                        if (rekey > 0 && at % 300000 == 0) session.rekey();
                    }
                    each.close();
                }
            } catch (Exception e) { e.printStackTrace(); }
        });
        writer.start();
        for (InputStream each : in) each.transferTo(System.out);
        System.out.flush();
        writer.join();
        while (!channels[0].isClosed()) Thread.sleep(5);
        session.disconnect();
        System.exit(channels[0].getExitStatus());
    }
}
