package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"reprise/backend/proxy"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// startHAProxy runs HAProxy with these sections until the test ends.
func startHAProxy(t *testing.T, sections string) {
	t.Helper()
	nettest.Need(t, "haproxy")
	ready := nettest.FreeAddr(t) // reserved before HAProxy starts, like all others
	config := filepath.Join(t.TempDir(), "haproxy.cfg")
	text := "defaults\n mode tcp\n timeout connect 10s\n timeout client 10s\n timeout server 10s\n" +
		"frontend ready\n bind " + ready + "\n" + sections
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	nettest.Start(t, nettest.Command{Path: "haproxy", Args: []string{"-db", "-f", config}}, nettest.Accepts(ready))
}

// headers is a backend that parses its proxy's header, a byte at a time, and then echoes the rest.
func headers(t *testing.T) (*nettest.Backend, <-chan proxy.Header) {
	got := make(chan proxy.Header, 1)
	b := nettest.Serve(t, func(conn net.Conn) {
		var in []byte
		for one := make([]byte, 1); ; {
			if _, err := conn.Read(one); err != nil {
				t.Errorf("after %q: %v", in, err)
				return
			}
			in = append(in, one[0])
			h, n, err := proxy.Parse(in)
			if err != nil {
				t.Errorf("HAProxy's %q: %v", in, err)
				return
			}
			if n == len(in) {
				got <- h
				nettest.Echo(conn)
				return
			}
		}
	})
	return b, got
}

// await returns what arrives on c, after an echo through conn.
func await(t *testing.T, c <-chan proxy.Header, conn net.Conn) proxy.Header {
	t.Helper()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write([]byte("payload\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "payload\n" {
		t.Fatalf("got %q, %v back", line, err)
	}
	return <-c
}

// HAProxy's header has its clients' real facts.
func TestFromHAProxy(t *testing.T) {
	for version, send := range map[int]string{1: "send-proxy", 2: "send-proxy-v2 proxy-v2-options crc32c"} {
		t.Run(fmt.Sprintf("version %d", version), func(t *testing.T) {
			b, got := headers(t)
			addr := nettest.FreeAddr(t)
			startHAProxy(t, fmt.Sprintf("listen plain\n bind %s\n server b %s %s\n", addr, b.Addr, send))
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			want := addrs(conn.LocalAddr().String(), addr)
			if h := await(t, got, conn); !reflect.DeepEqual(h, want) {
				t.Errorf("got %+v, want %+v", h, want)
			}
		})
	}
}

func TestFromHAProxyTLS(t *testing.T) {
	ca, err := testpki.NewCA("clients")
	if err != nil {
		t.Fatal(err)
	}
	client, err := ca.Issue(testpki.Template{CommonName: "client1", Client: true})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	server, err := testpki.SelfSigned(testpki.Template{Names: []string{"www.example.test"}})
	if err != nil {
		t.Fatal(err)
	}
	if server, err = server.Write(dir, "server"); err != nil {
		t.Fatal(err)
	}
	caFile := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(caFile, ca.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	b, got := headers(t)
	addr := nettest.FreeAddr(t)
	startHAProxy(t, fmt.Sprintf("listen tls\n bind %s ssl crt %s ca-file %s verify optional alpn h2,http/1.1\n unique-id-format id-%%[fc_rcvd_proxy]-%%cp\n"+
		" server b %s send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,cert-key,cert-sig,authority,crc32c,unique-id\n",
		addr, server.PEMFile, caFile, b.Addr))

	for name, certificates := range map[string][]tls.Certificate{"certificate": {client.TLS}, "no certificate": nil} {
		t.Run(name, func(t *testing.T) {
			conn, err := tls.Dial("tcp", addr, &tls.Config{
				InsecureSkipVerify: true, // self-signed
				ServerName:         "www.example.test", NextProtos: []string{"h2"},
				MinVersion: tls.VersionTLS13, Certificates: certificates,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			want := addrs(conn.LocalAddr().String(), addr)
			want.ALPN, want.Authority = "h2", "www.example.test"
			want.UniqueID = fmt.Appendf(nil, "id-0-%d", want.Source.Port())
			want.TLS = &proxy.TLS{Version: "TLSv1.3", Cipher: tls.CipherSuiteName(conn.ConnectionState().CipherSuite)}
			if certificates != nil {
				want.TLS.ClientCert, want.TLS.Verified, want.TLS.CommonName = true, true, "client1"
			}
			if h := await(t, got, conn); !reflect.DeepEqual(h, want) {
				t.Errorf("got %+v, TLS %+v, want %+v, TLS %+v", h, h.TLS, want, want.TLS)
			}
		})
	}
}

// HAProxy understands our headers.
func TestToHAProxy(t *testing.T) {
	addr := nettest.FreeAddr(t)
	startHAProxy(t, fmt.Sprintf(`frontend in
 mode http
 bind %s accept-proxy
 http-request return status 200 hdr Source %%ci:%%cp hdr Destination %%[dst]:%%[dst_port] hdr Authority %%[fc_pp_authority] hdr Unique-Id %%[fc_pp_unique_id]
`, addr))

	v6 := full()
	v6.Source, v6.Destination = netip.MustParseAddrPort("[2001:db8::7]:1234"), netip.MustParseAddrPort("[2001:db8::1]:443")
	v4 := full()
	short := addrs("203.0.113.7:54321", "192.0.2.1:443")
	type answer struct{ source, destination, authority, id string }
	tests := []struct {
		name string
		in   []byte
		want answer
	}{
		{"v1 IPv4", proxy.AppendV1(nil, &v4), answer{"203.0.113.7:54321", "192.0.2.1:443", "", ""}},
		{"v1 IPv6", proxy.AppendV1(nil, &v6), answer{"2001:db8::7:1234", "2001:db8::1:443", "", ""}},
		{"v2 without TLVs", proxy.AppendV2(nil, &short), answer{"203.0.113.7:54321", "192.0.2.1:443", "", ""}},
		{"v2 IPv4", proxy.AppendV2(nil, &v4), answer{"203.0.113.7:54321", "192.0.2.1:443", "www.example.test", "0123456789abcdef"}},
		{"v2 IPv6", proxy.AppendV2(nil, &v6), answer{"2001:db8::7:1234", "2001:db8::1:443", "www.example.test", "0123456789abcdef"}},
		{"v1 unknown", proxy.AppendV1(nil, &proxy.Header{Local: true}), answer{}},
		{"v2 local", proxy.AppendV2(nil, &proxy.Header{Local: true}), answer{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			if tt.want == (answer{}) { // the connection's own addresses
				tt.want = answer{source: conn.LocalAddr().String(), destination: addr}
			}
			if _, err := conn.Write(append(tt.in, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"...)); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			h := response.Header
			got := answer{h.Get("Source"), h.Get("Destination"), h.Get("Authority"), h.Get("Unique-Id")}
			if response.StatusCode != http.StatusOK || got != tt.want {
				t.Errorf("got %d, %+v, want %+v", response.StatusCode, got, tt.want)
			}
		})
	}
}
