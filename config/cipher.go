package config

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"reprise/config/suggest"
)

// cipherIDs and insecureIDs hold crypto/tls's suites for TLS 1.2 by their IANA and OpenSSL names;
// tls13Names those for TLS 1.3.
var cipherIDs, insecureIDs, tls13Names = cipherNames()

func cipherNames() (secure, insecure map[string]uint16, tls13 []string) {
	secure, insecure = make(map[string]uint16), make(map[string]uint16)
	for _, suite := range tls.CipherSuites() {
		if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
			tls13 = append(tls13, suite.Name)
			continue
		}
		secure[suite.Name], secure[opensslName(suite.Name)] = suite.ID, suite.ID
	}
	for _, suite := range tls.InsecureCipherSuites() {
		insecure[suite.Name], insecure[opensslName(suite.Name)] = suite.ID, suite.ID
	}
	return secure, insecure, tls13
}

// opensslWords turns the words of an IANA name into OpenSSL's.
var opensslWords = strings.NewReplacer("TLS_RSA_WITH_", "", "TLS_", "", "WITH_", "", "CBC_", "",
	"AES_", "AES", "RC4_128", "RC4",
	"3DES_EDE_", "DES-CBC3-", "POLY1305_SHA256", "POLY1305", "_", "-")

// opensslName returns OpenSSL's name for a suite of crypto/tls.
func opensslName(iana string) string { return opensslWords.Replace(iana) }

// cipherKeywords are the words of OpenSSL's cipher list language that stand for many suites.
var cipherKeywords = strings.Fields("DEFAULT ALL COMPLEMENTOFDEFAULT COMPLEMENTOFALL HIGH " +
	"MEDIUM LOW SECURE128 SECURE192 SECURE256 " +
	"ECDH ECDHE EECDH kECDHE kEECDH DH DHE EDH kDHE kEDH RSA kRSA aRSA ECDSA aECDSA AES AES128 " +
	"AES256 AESGCM AESCCM CHACHA20 " +
	"SHA SHA1 SHA256 SHA384 TLSv1.2 TLSv1 SSLv3 FIPS")

// parseCiphers reads an OpenSSL cipher list of suites, by either name. No id means crypto/tls's own
// list, which is also what keywords such as HIGH ask for. The notes warn about parts of the list
// that have no effect.
func parseCiphers(list string) (ids []uint16, notes []string, err error) {
	var keywords, excluded, tls13, refused []string
	for word := range strings.FieldsFuncSeq(list,
		func(r rune) bool { return strings.ContainsRune(": ,", r) }) {
		id, secure := cipherIDs[word]
		_, insecure := insecureIDs[word]
		switch {
		case secure:
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		case insecure || strings.HasPrefix(word, "DHE-") || strings.HasPrefix(word, "TLS_DHE_"):
			refused = append(refused, word)
		case slices.Contains(tls13Names, word):
			tls13 = append(tls13, word)
		case strings.ContainsRune("!-+@", rune(word[0])):
			excluded = append(excluded, word)
		case isKeyword(word):
			keywords = append(keywords, word)
		default:
			return nil, nil, unknownCipher(word)
		}
	}
	if len(refused) > 0 && len(ids) == 0 && len(keywords) == 0 {
		return nil, nil, fmt.Errorf("crypto/tls offers none of %s: write ECDHE suites",
			strings.Join(refused, ":"))
	}
	if len(keywords) > 0 {
		ids, keywords, excluded = nil, append(keywords, excluded...), nil
	}
	for _, note := range []struct {
		words []string
		text  string
	}{
		{keywords, "means crypto/tls's own list of secure suites"},
		{excluded, "has no effect: only suites that are named are offered"},
		{tls13, "has no effect: the suites of TLS 1.3 are always offered"},
		{refused, "is left out: crypto/tls lacks it or considers it insecure"},
	} {
		if len(note.words) > 0 {
			notes = append(notes, fmt.Sprintf("cipher %s %s", strings.Join(note.words, ":"),
				note.text))
		}
	}
	return ids, notes, nil
}

// isKeyword reports whether word is a keyword or several joined by +.
func isKeyword(word string) bool {
	for part := range strings.SplitSeq(word, "+") {
		if !slices.Contains(cipherKeywords, part) {
			return false
		}
	}
	return true
}

func unknownCipher(word string) error {
	known := slices.Clone(cipherKeywords)
	for name := range cipherIDs {
		known = append(known, name)
	}
	if near := suggest.Nearest(word, known); near != "" {
		return fmt.Errorf("unknown cipher %q: did you mean %q?", word, near)
	}
	return fmt.Errorf("unknown cipher %q: write names such as ECDHE-ECDSA-AES128-GCM-SHA256, "+
		"separated by colons", word)
}
