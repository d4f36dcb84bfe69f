import LIBRARY.Connection;
import LIBRARY.Session;
import java.io.File;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Arrays;

/* Ganymed and its descendant Trilead: the same calls; test_interop.py puts the name of either for LIBRARY. */
class Ganymed {
    public static void main(String[] a) throws Exception {
        String login = a[2], cipher = a[3], key = a[4];
        if (Integer.parseInt(a[5]) > 0) System.exit(77);
        Connection connection = new Connection(a[0], Integer.parseInt(a[1]));
        if (!cipher.isEmpty()) {
            if (!Arrays.asList(Connection.getAvailableCiphers()).contains(cipher)) System.exit(77);
            connection.setClient2ServerCiphers(new String[] {cipher});
            connection.setServer2ClientCiphers(new String[] {cipher});
        }
        connection.connect();
        boolean in = login.equals("none") ? connection.authenticateWithNone("tester")
            : login.equals("password") ? connection.authenticateWithPassword("tester", "secret")
            : login.equals("publickey") ? connection.authenticateWithPublicKey("tester", new File(key), null)
            : connection.authenticateWithKeyboardInteractive("tester", (name, text, count, prompts, echo) -> {
                  String[] answers = new String[count];
                  Arrays.fill(answers, "secret");
                  return answers;
              });
        if (!in) throw new Exception("login refused");
        int count = Integer.parseInt(System.getenv().getOrDefault("CHANNELS", "1"));
        int trips = Integer.parseInt(System.getenv().getOrDefault("PING", "0"));
        Session[] sessions = new Session[count];
        for (int i = 0; i < count; i++) {
            sessions[i] = connection.openSession();
            sessions[i].execCommand(System.getenv().getOrDefault("COMMAND", "cat"));
        }
        if (trips > 0) {
            long began = System.nanoTime();
            for (int i = 0; i < trips; i++) {
                sessions[0].getStdin().write(new byte[64]);
                sessions[0].getStdin().flush();
                sessions[0].getStdout().readNBytes(64);
            }
            System.out.println((System.nanoTime() - began) / 1000);
            System.exit(0);
        }
        byte[] data = System.in.readAllBytes();
        Thread writer = new Thread(() -> {
            try {
                for (Session each : sessions) {
                    each.getStdin().write(data);
                    each.getStdin().close();
                }
            } catch (Exception e) { e.printStackTrace(); }
        });
        writer.start();
        for (Session each : sessions) each.getStdout().transferTo(System.out);
        System.out.flush();
        writer.join();
        sessions[0].waitForCondition(32 /* EXIT_STATUS */, 5000);
        Integer status = sessions[0].getExitStatus();
        connection.close();
        System.exit(status == null ? 1 : status);
    }
}
