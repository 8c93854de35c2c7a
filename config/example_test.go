package config_test

import (
	"fmt"

	"reprise/config"
)

func ExampleParse() {
	_, err := config.Parse([]string{"--sslrouter", ":8443,cert.pem", "--idel-timeout", "60"})
	fmt.Println(err)
	_, err = config.Parse([]string{"--sslrouter", ":8443,cert.pem", "--idle-timeout", "60 ticks"})
	fmt.Println(err)
	// Output:
	// unknown option "--idel-timeout": did you mean "--idle-timeout"?
	// --sslrouter ":8443,cert.pem": incomplete: write ADDR,CERT,KEY[,CIPHERS[,CLIENTCA]]
	// --idle-timeout "60 ticks": bad duration: write 1ms to 168h, such as 10 (seconds), 250ms or 2m
}

func ExampleParseAddress() {
	for _, s := range []string{"[::1]:8443", "/run/app.sock", "localhost"} {
		a, err := config.ParseAddress(s)
		fmt.Println(a.Network, a, err)
	}
	// Output:
	// tcp [::1]:8443 <nil>
	// unix /run/app.sock <nil>
	//   no port: write host:port, :port, [v6]:port or /unix/path
}
