package config

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"reprise/config/source"
	"reprise/internal/storeurl"
)

const (
	minSecretLen = 16      // the strength of AES-128, if the bytes are random
	maxSecretLen = 4 << 10 // so that /dev/urandom is an error, not an endless read
	goodSecret   = "make one with reprise secret"
)

// ReadSecret returns the secret in file, which is all of its bytes but one newline at the end. It
// refuses a secret that is shorter than 16 bytes or one byte repeated, with an error that shows
// nothing of it. The caller owns the bytes and wipes them.
func ReadSecret(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, source.Cause(err))
	}
	defer f.Close()
	data := make([]byte, maxSecretLen+1) // at once: growing would leave copies behind
	n, err := io.ReadFull(f, data)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("cannot read %s: %w", file, source.Cause(err))
	}
	secret := bytes.TrimSuffix(data[:n], []byte("\n"))
	switch {
	case n > maxSecretLen:
		err = fmt.Errorf("%s has more than %d bytes: %s", file, maxSecretLen, goodSecret)
	case len(secret) < minSecretLen:
		err = fmt.Errorf("%s has %d bytes, a secret at least %d: %s", file, len(secret),
			minSecretLen,
			goodSecret)
	case bytes.Count(secret, secret[:1]) == len(secret):
		err = fmt.Errorf("%s is one byte repeated: %s", file, goodSecret)
	default:
		return secret, nil
	}
	clear(data)
	return nil, err
}

// checkSecret reads the file that s names.
func (b *builder) checkSecret(s setting) {
	secret, err := ReadSecret(s.value)
	if err != nil {
		b.fail(s.errorf("%w", err))
		return
	}
	clear(secret)
	b.warnOfReaders(s)
}

// warnOfReaders warns if others can read the file of a secret.
func (b *builder) warnOfReaders(s setting) {
	if info, err := os.Stat(s.value); err == nil && info.Mode().Perm()&0o077 != 0 {
		b.warnf(s, "others than its owner can read or change %s: chmod 600 it", s.value)
	}
}

// ReadRepeaterKey returns the key in file, as reprise repeater-key prints it. The caller owns the
// bytes and wipes them.
func ReadRepeaterKey(file string) ([]byte, error) {
	text, err := ReadSecret(file)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	key := make([]byte, repeaterKeyLen)
	if len(text) != 2*repeaterKeyLen {
		err = hex.ErrLength
	} else {
		_, err = hex.Decode(key, text)
	}
	if err != nil {
		return nil,
			fmt.Errorf("%s is not a repeater's key: write what `reprise repeater-key SECRET` "+
				"prints", file)
	}
	return key, nil
}

// repeaterKeyLen is the length of a repeater's key.
const repeaterKeyLen = 32

// checkRepeaterKey reads the file of udprepeater-secret-file.
func (b *builder) checkRepeaterKey() {
	s := b.written("udprepeater-secret-file")
	if s.option == nil || b.failed[s.option.name] {
		return
	}
	key, err := ReadRepeaterKey(s.value)
	if err != nil {
		b.fail(s.errorf("%w", err))
		return
	}
	clear(key)
	b.warnOfReaders(s)
}

// checkStores reads the URLs of stores as the packages that open them do.
func (b *builder) checkStores() {
	for _, s := range b.config.settings {
		if s.option.name != "session-store" || b.failed[s.option.name] {
			continue
		}
		if _, err := storeurl.Parse(s.value); err != nil {
			b.fail(s.errorf("%w", err))
		}
	}
}

const (
	storeForms = "redis[s]://[[USER]:PASSWORD@]HOST[:PORT][,HOST...][/DB][?ca=FILE] or " +
		"memcached://HOST[:PORT][,HOST...]"
	storeHost  = `(?:[\w.-]+|\[[[:xdigit:].:]+\])(?::\d{1,5})?`
	storeHosts = storeHost + `(?:,` + storeHost + `)*`
	masked     = "***"
)

// storeURL finds the password, which may contain characters that a URL should not: it ends at the
// last "@".
var storeURL = regexp.MustCompile(`^(?:rediss?://(?:[^:]*:(.+)@)?` +
	storeHosts + `(?:/\d*)?(?:\?ca=[^@]+)?|memcached://` + storeHosts + `)$`)

// addStore sets session-store.
func addStore(b *builder, value string) error {
	match := storeURL.FindStringSubmatch(value)
	if match == nil {
		return errors.New("bad URL: write " + storeForms)
	}
	switch password := match[1]; {
	case password == masked:
		b.warnf(b.now, "%s stands for a password that was not shown: write the password", masked)
	case password != "" && strings.HasPrefix(b.now.source, "--"):
		b.warnf(b.now,
			"every user of this machine can see the password of a command: write it in a file")
	}
	b.config.SessionStores = append(b.config.SessionStores, value)
	return nil
}

// maskStore hides the password of a store's URL. It hides all of a malformed URL, because the
// password could be anywhere in it.
func maskStore(value string) string {
	at := storeURL.FindStringSubmatchIndex(value)
	switch {
	case at == nil:
		return masked
	case at[2] < 0:
		return value
	}
	return value[:at[2]] + masked + value[at[3]:]
}
