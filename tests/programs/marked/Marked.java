import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;

/** The server of marked.py with a thread for each client: java Marked.java server HOST PORT CONNECTIONS */
public class Marked {
    static void answer(Socket client, int connection) {
        byte[] buffer = new byte[240];
        try (client; InputStream in = client.getInputStream(); OutputStream out = client.getOutputStream()) {
            for (int number = 0; in.read(buffer) > 0; number++) {
                out.write(String.format("<%04dS%06d000>", connection, number).getBytes());
            }
        } catch (java.io.IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }

    public static void main(String[] words) throws Exception {
        int connections = Integer.parseInt(words[3]);
        List<Thread> threads = new ArrayList<>();
        try (ServerSocket listener =
                new ServerSocket(Integer.parseInt(words[2]), 1024, InetAddress.getByName(words[1]))) {
            System.out.println("ready");
            for (int connection = 0; connection < connections; connection++) {
                Socket client = listener.accept();
                int number = connection;
                Thread thread = new Thread(() -> answer(client, number));
                threads.add(thread);
                thread.start();
            }
        }
        for (Thread thread : threads) {
            thread.join();
        }
    }
}
