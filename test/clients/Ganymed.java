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
        if (Integer.parseInt(a[5]) > 0 || login.equals("publickey")) System.exit(77); // (its keys sign by SHA-1 alone)
        Connection connection = new Connection(a[0], Integer.parseInt(a[1]));
        if (!cipher.isEmpty()) {
            if (!Arrays.asList(Connection.getAvailableCiphers()).contains(cipher)) System.exit(77);
            connection.setClient2ServerCiphers(new String[] {cipher});
            connection.setServer2ClientCiphers(new String[] {cipher});
        }
        connection.connect();
        boolean in = login.equals("none") ? connection.authenticateWithNone("tester")
            : login.equals("password") ? connection.authenticateWithPassword("tester", "secret")
            : connection.authenticateWithKeyboardInteractive("tester", (name, text, count, prompts, echo) -> {
                  String[] answers = new String[count];
                  Arrays.fill(answers, "secret");
                  return answers;
              });
        if (!in) throw new Exception("login refused");
        Session session = connection.openSession();
        session.execCommand("cat");
        byte[] data = System.in.readAllBytes();
        OutputStream out = session.getStdin();
        Thread writer = new Thread(() -> {
            try {
                out.write(data);
                out.close();
            } catch (Exception e) { e.printStackTrace(); }
        });
        writer.start();
        session.getStdout().transferTo(System.out);
        System.out.flush();
        writer.join();
        session.waitForCondition(32 /* EXIT_STATUS */, 5000);
        Integer status = session.getExitStatus();
        connection.close();
        System.exit(status == null ? 1 : status);
    }
}
