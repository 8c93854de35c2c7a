// Package reports holds what users of other terminators have reported as bugs there, and was
// one here once: inputs of the wild, sent to the program from outside. REPRISE_BIN names
// another binary to try them on.
//
// Reports about files of certificates are held by TestSameVerdicts and TestPEM*, those about
// log lines of failed handshakes by e2e/observe, those about alerts and exporters by tlsconn
// (TestExporter*, its tests against crypto/tls).
package reports
