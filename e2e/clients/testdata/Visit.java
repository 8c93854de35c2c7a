import java.io.FileInputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.Security;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSession;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/** Groups and tickets are chosen by system properties. */
public class Visit {
	public static void main(String[] args) throws Exception {
		String host = args[0], version = args[2], ca = args[5], cert = args[6], key = args[7];
		int port = Integer.parseInt(args[1]);
		for (String provider : System.getProperty("visit.providers", "").split(",", 0)) {
			if (!provider.isEmpty()) {
				Class<?> type = Class.forName("org.bouncycastle." + provider);
				Security.insertProviderAt((Provider) type.getDeclaredConstructor().newInstance(), 1);
			}
		}
		SSLContext context = context(ca, cert, key);
		long first = 0;
		for (int i = 0; i < 3; i++) {
			Socket raw = new Socket(host, port);
			// JSSE looks a session up by the name and port of the server.
			SSLSocket conn = (SSLSocket) context.getSocketFactory().createSocket(raw, "localhost", port, true);
			conn.setEnabledProtocols(new String[] {"TLSv" + version});
			conn.startHandshake();
			// A session resumed keeps the time of its full handshake.
			SSLSession session = conn.getSession();
			boolean resumed = i > 0 && session.getCreationTime() == first;
			first = i > 0 ? first : session.getCreationTime();

			OutputStream out = conn.getOutputStream();
			out.write("ping\n".getBytes(StandardCharsets.US_ASCII));
			InputStream in = conn.getInputStream();
			String answer = new String(in.readAllBytes(), StandardCharsets.US_ASCII);
			if (!answer.equals("ping\n")) {
				throw new Exception("answer " + answer);
			}
			conn.close();
			System.out.println("answered");
			System.out.println("resumed " + resumed);
		}
	}

	static SSLContext context(String ca, String cert, String key) throws Exception {
		KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
		trusted.load(null);
		trusted.setCertificateEntry("ca", certificate(ca));
		TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
		trust.init(trusted);
		KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
		KeyStore own = KeyStore.getInstance(KeyStore.getDefaultType());
		own.load(null);
		if (!cert.equals("-")) {
			own.setKeyEntry("own", privateKey(key), new char[0], new Certificate[] {certificate(cert)});
		}
		keys.init(own, new char[0]);
		SSLContext context = SSLContext.getInstance("TLS");
		context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
		return context;
	}

	static Certificate certificate(String file) throws Exception {
		try (InputStream in = new FileInputStream(file)) {
			return CertificateFactory.getInstance("X.509").generateCertificate(in);
		}
	}

	static PrivateKey privateKey(String file) throws Exception {
		String text = Files.readString(Path.of(file)).replaceAll("-----.*-----|\\s", "");
		return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(text)));
	}
}
