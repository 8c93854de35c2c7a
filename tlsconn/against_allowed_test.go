package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"

	"reprise/tlsconn"
)

// A difference is what two servers made of the same bytes.
type difference struct {
	in            []byte
	hello         *rawHello // nil if it does not parse
	own, standard verdict
	server        *twin
}

func (d *difference) String() string {
	return fmt.Sprintf("\nown      %v\nstandard %v\nhello    %v\nbytes    %x", d.own, d.standard, d.hello, d.in)
}

// kind tells differences apart roughly.
func (d *difference) kind() string {
	return fmt.Sprintf("own %q %d %q, standard %q %d %.60q", d.own.answer, d.own.alert, d.own.why, d.standard.answer, d.standard.alert,
		d.standard.why)
}

func (h *rawHello) String() string {
	if h == nil {
		return "does not parse"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "version %04x, session ID %x, suites %x, compressions %x, no block %t", h.version, h.sessionID, h.suites, h.compressions, h.noBlock)
	for _, e := range h.extensions {
		fmt.Fprintf(&b, "\n         %5d: %d bytes %.40x", e.id, len(e.data), e.data)
	}
	return b.String()
}

// allowed says why a difference is meant, "" if it is not.
func (d *difference) allowed() string {
	ownRefused, standardRefused := d.own.answer == "" && d.own.failed, d.standard.answer == "" &&
		d.standard.failed
	if d.resumedByID() {
		return "TLS 1.2 by session ID: crypto/tls resumes by ticket alone"
	}
	if ownRefused && standardRefused && alertClass(d.own.alert) == alertClass(d.standard.alert) {
		return "both refuse, in other words of one class"
	}
	if ownRefused {
		if why := d.find(ownRefuses, d.own.alert); why != "" {
			return why
		}
	}
	if standardRefused {
		if why := d.find(standardRefuses, d.standard.alert); why != "" {
			return why
		}
	}
	if ownRefused || standardRefused {
		return ""
	}
	if d.own.answer != d.standard.answer || d.own.version != d.standard.version ||
		d.own.suite != d.standard.suite ||
		d.own.group != d.standard.group || d.own.psk != d.standard.psk ||
		d.own.resumed != d.standard.resumed {
		return d.find(choices, 0)
	}
	if d.own.failed && d.standard.failed && alertClass(d.own.alert) == alertClass(d.standard.alert) {
		return "both fail, in other words of one class"
	}
	return d.find(later, d.own.alert)
}

func (d *difference) resumedByID() bool {
	if d.hello == nil || !d.own.resumed || d.standard.resumed || len(d.hello.sessionID) != 32 {
		return false
	}
	ticket := d.hello.find(idTicket)
	return ticket == nil || len(ticket.data) == 0
}

func (d *difference) find(list []irregularity, alert int) string {
	for i := range list {
		if r := &list[i]; (r.alerts == nil || slices.Contains(r.alerts, alert)) && r.in(d) {
			return r.why
		}
	}
	return ""
}

// alertClass groups alerts by what a client can do about them: nothing (its messages are wrong),
// offer something else, or know its keys.
func alertClass(alert int) string {
	switch alert {
	case -1:
		return "silence"
	case 10, 22, 47, 50, 109, 110, 112, 80:
		return "wrong" // 80: crypto/tls about messages that are too long
	case 40, 70, 71, 86, 120:
		return "no agreement"
	case 20, 51:
		return "keys"
	}
	return fmt.Sprint(alert)
}

// An irregularity is something in a client's bytes about which servers may differ.
type irregularity struct {
	why    string
	alerts []int // with which it is refused, nil: all
	in     func(d *difference) bool
}

// has makes a predicate of one that needs a hello.
func has(in func(h *rawHello) bool) func(d *difference) bool {
	return func(d *difference) bool { return d.hello != nil && in(d.hello) }
}

// ownRefuses is what our engine refuses, and crypto/tls takes or refuses later.
var ownRefuses = []irregularity{
	{"session ID longer than 32 bytes (RFC 8446, Section 4.1.2)", []int{50}, has(func(h *rawHello) bool { return len(h.sessionID) > 32 })},
	{"no cipher suite (Section 4.1.2)", []int{50}, has(func(h *rawHello) bool { return len(h.suites) == 0 })},
	{"no compression method (Section 4.1.2)", []int{50}, has(func(h *rawHello) bool { return len(h.compressions) == 0 })},
	{"list of no PSK modes (Section 4.2.9)", []int{50}, has(func(h *rawHello) bool {
		e := h.find(idPSKModes)
		return e != nil && len(e.data) == 1
	})},
	{"certificate_authorities that do not parse (Section 4.2.4)", []int{50}, has(func(h *rawHello) bool {
		e := h.find(idAuthorities)
		return e != nil
	})},
	{"post_handshake_auth with data (Section 4.2.6)", []int{50}, has(func(h *rawHello) bool {
		e := h.find(idPostHandshake)
		return e != nil && len(e.data) > 0
	})},
	{"two key shares of a group, or one of a group not offered (Section 4.2.8)", []int{47}, has(irregularShares)},
	{"not as many binders as identities (Section 4.2.11)", []int{47}, has(unequalBinders)},
	{"pre_shared_key is not the last extension (Section 4.2.11)", []int{47}, has(func(h *rawHello) bool {
		return slices.ContainsFunc(h.extensions[:max(0, len(h.extensions)-1)],
			func(e rawExtension) bool { return e.id == idPSK })
	})},
	{"pre_shared_key without psk_key_exchange_modes (Section 4.2.9)", []int{109}, has(func(h *rawHello) bool {
		return h.find(idPSK) != nil && h.find(idPSKModes) == nil
	})},
	{"supported_groups, key_share or signature_algorithms missing in TLS 1.3 (Section 9.2)", []int{109}, has(func(h *rawHello) bool {
		return h.offers13() && (h.find(idGroups) == nil || h.find(idKeyShare) == nil ||
			h.find(idSigAlgs) == nil)
	})},
	{"server name that is not a host name, or two (RFC 6066, Section 3)", []int{47, 112}, has(irregularName)},
	{"legacy_version of SSL 3.0 (RFC 8446, Appendix D.5)", []int{70}, has(func(h *rawHello) bool { return h.version <= 0x0300 })},
	{"point formats without the one that is left (RFC 8422, Section 5.1.2)", []int{47}, has(func(h *rawHello) bool {
		e := h.find(idPointFormats)
		return e != nil && len(e.data) > 1 && !slices.Contains(e.data[1:], 0)
	})},
	{"no null compression", []int{47}, has(func(h *rawHello) bool { return !slices.Contains(h.compressions, 0) })},
	{"ECDSA by a curve that the client does not have, in TLS 1.2 (RFC 8422, Section 5.1.1)", []int{40}, has(func(h *rawHello) bool {
		return h.find(idGroups) != nil && !slices.Contains(h.list16(idGroups, 2), 23)
	})},
	{"no signature_algorithms in TLS 1.2: only SHA-1 would be left (RFC 9155)", []int{40}, has(func(h *rawHello) bool {
		return h.find(idSigAlgs) == nil
	})},
	{"no signature scheme for the certificate, noticed before anything is sent", []int{40}, has(func(h *rawHello) bool {
		// in TLS 1.3 a curve has one hash
		return !slices.ContainsFunc(h.list16(idSigAlgs, 2), func(s uint16) bool {
			return s == 0x0403 || !h.offers13() && (s == 0x0503 || s == 0x0603)
		})
	})},
	{"binder and key share are both wrong, and the binder is looked at first", []int{51}, func(d *difference) bool {
		return strings.Contains(d.standard.why, "invalid client key share")
	}},
	{"application protocols are looked at before all else", []int{120}, has(func(h *rawHello) bool {
		e := h.find(idALPN)
		return e != nil && !strings.Contains(string(e.data), "\x02h2") && !strings.Contains(string(e.data), "\x08http/1.1")
	})},
	{"SSLv2: it is not TLS, whatever it is", []int{10}, func(d *difference) bool { return strings.Contains(d.standard.why, "SSLv2") }},
	{"fallback though it need not, in a resumption too (RFC 7507)", []int{86}, has(func(h *rawHello) bool { return h.hasSuite(0x5600) })},
	{"a session with extended master secret, a client without (RFC 7627, Section 5.3): by session ID, and not in silence", []int{40}, has(func(h *rawHello) bool {
		return h.find(idEMS) == nil
	})},
	{"a share is there, so the client is not asked for a better group: binder and share are looked at", []int{47, 51}, has(retryForPQ)},
	{"data behind the ClientHello in its record (RFC 8446, Section 5.1)", []int{10}, func(d *difference) bool { return hasExcess(d.in) }},
	{"record version of another major version", []int{10}, func(d *difference) bool { return len(d.in) > 1 && d.in[1] != 3 }},
}

// irregularShares: see above.
func irregularShares(h *rawHello) bool {
	groups, _, _ := h.shares()
	offered := h.list16(idGroups, 2)
	for i, g := range groups {
		if slices.Contains(groups[:i], g) || h.find(idGroups) != nil && !slices.Contains(offered, g) {
			return true
		}
	}
	return false
}

func unequalBinders(h *rawHello) bool {
	e := h.find(idPSK)
	if e == nil {
		return false
	}
	s := cryptobyte.String(e.data)
	var identities, binders, one cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&identities) || !s.ReadUint16LengthPrefixed(&binders) {
		return false
	}
	n := 0
	for identities.ReadUint16LengthPrefixed(&one) && identities.Skip(4) {
		n++
	}
	for binders.ReadUint8LengthPrefixed(&one) {
		n--
	}
	return n != 0
}

func irregularName(h *rawHello) bool {
	e := h.find(idServerName)
	if e == nil || len(e.data) < 5 {
		return false
	}
	hosts, irregular := 0, false
	s := cryptobyte.String(e.data[2:])
	var kind uint8
	var name cryptobyte.String
	for s.ReadUint8(&kind) && s.ReadUint16LengthPrefixed(&name) {
		if kind == 0 {
			hosts++
			irregular = irregular || len(name) > 255 ||
				slices.ContainsFunc(name, func(c byte) bool { return c <= ' ' || c > '~' })
		}
	}
	return irregular || hosts > 1
}

func (h *rawHello) hasSuite(id uint16) bool {
	for list := h.suites; len(list) >= 2; list = list[2:] {
		if binary.BigEndian.Uint16(list) == id {
			return true
		}
	}
	return false
}

// firstSuiteIsOld: the first suite that crypto/tls knows is one that neither engine
// would choose.
func (h *rawHello) firstSuiteIsOld() bool {
	for list := h.suites; len(list) >= 2; list = list[2:] {
		id := binary.BigEndian.Uint16(list)
		if slices.Contains([]uint16{0x1301, 0x1302, 0x1303}, id) || slices.Contains(twinSuites, id) {
			return false
		}
		if slices.ContainsFunc(slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()),
			func(s *tls.CipherSuite) bool { return s.ID == id }) {
			return true
		}
	}
	return false
}

func isChaCha(suite uint16) bool { return suite == 0x1303 || suite == 0xcca8 || suite == 0xcca9 }

// retryForPQ: the client offers the hybrid group, but has sent no share for it.
func retryForPQ(h *rawHello) bool {
	groups, _, _ := h.shares()
	return slices.Contains(h.list16(idGroups, 2), 0x11ec) && !slices.Contains(groups, 0x11ec)
}

// hasExcess reports whether the record in which the ClientHello ends goes on.
func hasExcess(in []byte) bool {
	have, want := 0, 4
	var header []byte
	for len(in) >= 5 && in[0] == 22 && have < want {
		n := min(len(in)-5, int(binary.BigEndian.Uint16(in[3:])))
		header = append(header, in[5:5+n]...)
		if have += n; have >= 4 {
			want = 4 + int(header[1])<<16 + int(header[2])<<8 + int(header[3])
		}
		in = in[5+n:]
	}
	return have > want
}

// standardRefuses is what crypto/tls refuses, and our engine takes or refuses later.
var standardRefuses = []irregularity{
	{"early data: ours skips it", []int{110}, has(func(h *rawHello) bool { return h.find(idEarlyData) != nil })},
	{"QUIC's parameters: ours ignores them over TCP", []int{110}, has(func(h *rawHello) bool { return h.find(idQUIC) != nil })},
	{"encrypted_client_hello: ours ignores it", []int{50, 47}, has(func(h *rawHello) bool { return h.find(idECH) != nil })},
	{"signed_certificate_timestamp, status_request: ours ignores them", []int{50}, has(func(h *rawHello) bool {
		sct, status := h.find(idSCT), h.find(idStatusRequest)
		return sct != nil && len(sct.data) > 0 || status != nil && !statusParses(status.data)
	})},
	{"no group in common, which a resumption in TLS 1.2 does not need", []int{40}, func(d *difference) bool { return d.own.resumed }},
	{"crypto/tls has chosen another suite, one of the session's hash, because the client's first one is old", []int{51}, has(func(h *rawHello) bool {
		return h.firstSuiteIsOld() && h.find(idPSK) != nil
	})},
	{"no supported_groups in TLS 1.2: ours takes P-256 (RFC 8422, Section 4)", []int{40}, has(func(h *rawHello) bool { return h.find(idGroups) == nil })},
	{"renegotiation_info in TLS 1.3, which does not have it: ours ignores it", []int{40}, has(func(h *rawHello) bool {
		e := h.find(idRenegotiation)
		return h.offers13() && e != nil && len(e.data) > 1
	})},
	{"fallback, judged by legacy_version where there is supported_versions", []int{86}, has(func(h *rawHello) bool {
		return h.hasSuite(0x5600) && h.version < 0x0303 && h.find(idVersions) != nil
	})},
	{"server name with a dot at its end: ours drops it", []int{50}, has(func(h *rawHello) bool {
		e := h.find(idServerName)
		return e != nil && len(e.data) > 0 && slices.Contains(e.data, '.')
	})},
}

func statusParses(b []byte) bool {
	s := cryptobyte.String(b)
	var list cryptobyte.String
	return s.Skip(1) && s.ReadUint16LengthPrefixed(&list) && s.ReadUint16LengthPrefixed(&list) &&
		s.Empty()
}

// choices are those among a client's offers.
var choices = []irregularity{
	{"crypto/tls takes clients whose first suite is an old one for such without AES-GCM", nil, func(d *difference) bool {
		rest := d.own
		rest.suite, rest.psk, rest.failed, rest.alert = d.standard.suite, d.standard.psk,
			d.standard.failed, d.standard.alert
		if d.groupsByOrder() {
			rest.group = d.standard.group
		}
		return d.hello != nil && d.hello.firstSuiteIsOld() && rest.same(d.standard) &&
			isChaCha(d.standard.suite)
	}},
	{"the group of TLS 1.2: ours is the best by our order, crypto/tls's by the client's", nil, func(d *difference) bool {
		rest := d.own
		rest.group, rest.failed, rest.alert = d.standard.group, d.standard.failed, d.standard.alert
		return d.groupsByOrder() && rest.same(d.standard)
	}},
	{"the suite of the session that is resumed, where crypto/tls may change to another of the same hash", nil, func(d *difference) bool {
		return d.own.psk >= 0 && d.own.psk == d.standard.psk &&
			(d.own.suite == 0x1302) == (d.standard.suite == 0x1302)
	}},
	{"a share is there, so the client is not asked for a better group", nil, func(d *difference) bool {
		return d.hello != nil && retryForPQ(d.hello) && d.standard.answer == "retry" &&
			d.standard.group == 0x11ec && d.own.version == 0x0304
	}},
}

// groupsByOrder reports whether both servers of TLS 1.2 chose a group that the client
// offers, and crypto/tls the one that stands first there.
func (d *difference) groupsByOrder() bool {
	if d.hello == nil || d.own.version != 0x0303 {
		return false
	}
	offered := d.hello.list16(idGroups, 2)
	return slices.Contains(offered, d.own.group) &&
		slices.Index(offered, d.standard.group) <= slices.Index(offered, d.own.group)
}

// later are the alerts that follow the first answer.
var later = []irregularity{
	{"a message is refused at its first byte, where crypto/tls waits for the rest", []int{10, -1}, func(d *difference) bool {
		return d.own.why == "tlsconn: message not expected now" && d.standard.alert == -1
	}},
	{"an alert between the parts of a message is taken for an alert", []int{-1}, func(d *difference) bool {
		return strings.Contains(d.own.why, "the client sent the alert") && alertClass(d.standard.alert) == "wrong"
	}},
	{"close_notify in the handshake: crypto/tls says nothing", []int{50}, func(d *difference) bool {
		return d.standard.alert < 0 && d.standard.failed && strings.Contains(d.standard.why, "EOF")
	}},
}

// allowed says why what became of a client is meant to differ, "" if it is not.
func (d *meetingDifference) allowed() string {
	own, other := d.own, d.standard
	failed := own.state == tlsconn.Failed && other.state == tlsconn.Failed
	if failed && own.read == other.read && alertClass(own.alert) == alertClass(other.alert) {
		return "both fail, in other words of one class"
	}
	for _, m := range meetingsAllowed {
		if m.fits(d) {
			return m.why
		}
	}
	return ""
}

// meetingsAllowed is what may become of a client otherwise. That both fail is not
// enough: what our engine says must fit the reason.
var meetingsAllowed = []struct {
	why  string
	fits func(d *meetingDifference) bool
}{
	{"the type of a record is looked at before it is decrypted (RFC 8446, Section 5.2)", func(d *meetingDifference) bool {
		return (d.own.why == "tlsconn: record of a type not expected now" || d.own.why == "tlsconn: message not expected now") &&
			d.standard.state == tlsconn.Failed && alertClass(d.standard.alert) == "keys" &&
			d.own.read == d.standard.read
	}},
	{"the version of a record says nothing (RFC 8446, Section 5.1), or makes it fail to authenticate", func(d *meetingDifference) bool {
		return strings.Contains(d.standard.why, "received record with version") &&
			(d.own.state != tlsconn.Failed || d.own.read >= d.standard.read)
	}},
	{"ChangeCipherSpec after the client's Finished (RFC 8446, Section 5)", func(d *meetingDifference) bool {
		return d.own.state == tlsconn.Failed && d.own.alert == alertUnexpectedMessage &&
			d.own.read <= d.standard.read && ccsAfterData(d.wire)
	}},
	{"client certificates are parsed and verified at the client's Finished, the signature in the order of messages", func(d *meetingDifference) bool {
		return d.own.state == tlsconn.Failed && strings.Contains(d.standard.why, "certificate")
	}},
	{"close_notify in the handshake is answered with an alert", func(d *meetingDifference) bool {
		return d.own.why == "tlsconn: the byte stream ended early" && d.standard.why == "EOF" && d.own.read == d.standard.read
	}},
	{"an alert of a level that does not exist (RFC 8446, Section 6)", func(d *meetingDifference) bool {
		return d.own.alert == 47 && strings.Contains(d.standard.why, "remote error")
	}},
	{"a message longer than may be, or a record of a wrong type, is refused at its header, where crypto/tls waits for more", func(d *meetingDifference) bool {
		early := d.own.why == "tlsconn: handshake message is too long" || d.own.why == "tlsconn: record of a type not expected now" ||
			d.own.why == "tlsconn: message not expected now"
		return early && strings.HasSuffix(d.standard.why, "EOF") && d.own.read <= d.standard.read
	}},
	{"the second ClientHello may differ in extensions that mean nothing to us", func(d *meetingDifference) bool {
		return strings.Contains(d.standard.why, "illegally modified second ClientHello") && d.own.state == tlsconn.Failed
	}},
	{"nor in others that crypto/tls does not compare (RFC 8446, Section 4.1.2)", func(d *meetingDifference) bool {
		return d.own.why == "tlsconn: second ClientHello does not fit the first" && d.standard.state == tlsconn.Failed && d.standard.read == 0
	}},
	{"data behind the second ClientHello in its record (RFC 8446, Section 5.1) is looked at before its binder", func(d *meetingDifference) bool {
		return d.own.why == "tlsconn: data between a message and the change of keys" && strings.Contains(d.standard.why, "invalid PSK binder")
	}},
	{"an extension that ours ignores does not parse, so that binder or keys do not match", func(d *meetingDifference) bool {
		return (d.own.why == "tlsconn: the client does not hold the session it offers" || d.own.why == "tlsconn: record does not authenticate") &&
			d.own.read == 0 && strings.Contains(d.standard.why, "error decoding message")
	}},
	{"records of no content are bounded for the whole handshake, not in a row", func(d *meetingDifference) bool {
		return d.own.why == "tlsconn: too many records without content" && bytes.Count(d.wire, []byte{20, 3, 3, 0, 1, 1}) > 16
	}},
	{"what looks like HTTP behind a first hello that was to be sent anew", func(d *meetingDifference) bool {
		return d.standard.why == tlsconn.ErrPlainHTTP.Error() && d.own.state == tlsconn.Failed &&
			d.standard.state == tlsconn.Failed
	}},
	{"what looks like SSLv2 in the middle", func(d *meetingDifference) bool {
		return strings.Contains(d.standard.why, "SSLv2") && d.own.state == tlsconn.Failed &&
			d.own.read == d.standard.read
	}},
	{"a record is refused when it is whole, crypto/tls refuses the header", func(d *meetingDifference) bool {
		return d.own.why == "tlsconn: the byte stream ended early" && strings.Contains(d.standard.why, "first record")
	}},
}

// ccsAfterData reports whether a ChangeCipherSpec follows a protected record.
func ccsAfterData(wire []byte) bool {
	data := false
	for len(wire) >= 5 {
		data = data || wire[0] == 23
		if data && wire[0] == 20 {
			return true
		}
		wire = wire[min(len(wire), 5+int(binary.BigEndian.Uint16(wire[3:]))):]
	}
	return false
}
