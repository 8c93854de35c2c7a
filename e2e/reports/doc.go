// Package reports tests bugs that users of other terminators have reported, and that existed here
// once: real inputs, sent to the program from outside. REPRISE_BIN names another binary to test.
//
// Reports about files of certificates are covered by TestSameVerdicts and TestPEM*, those about log
// lines of failed handshakes by e2e/observe, those about alerts and exporters by tlsconn
// (TestExporter*, its tests against crypto/tls).
package reports
