package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	defaultKeepAlive = time.Minute
	hstsForm         = "SECONDS, true or false, then ;includeSubDomains and ;preload if wanted"
	year             = 365 * 24 * 60 * 60 // seconds
)

// parseKeepAlive reads a duration, or whether to keep connections at all. As in uWSGI, 1 is not a second but yes.
func parseKeepAlive(s string) (time.Duration, error) {
	switch on, err := parseBool(s); {
	case err != nil:
		return parseDuration(s, time.Second, week)
	case on:
		return defaultKeepAlive, nil
	default:
		return 0, nil
	}
}

// framingFields say how far a message goes and what becomes of its connection: Reprise must write them itself, or client and
// backend would not agree where the next message begins.
var framingFields = []string{
	"connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}

// parseHeader reads Name: value. The value needs no further look: what a field value may not hold are control characters, which no
// setting may (RFC 9110, Section 5.5).
func parseHeader(s string) (Header, error) {
	name, value, found := strings.Cut(s, ":")
	value = strings.Trim(value, " \t")
	switch {
	case !found || value == "":
		return Header{}, errors.New("incomplete: write Name: value")
	case name == "" || strings.ContainsFunc(name, func(r rune) bool { return !isTokenChar(r) }):
		return Header{}, fmt.Errorf("bad name %q: write letters, digits and hyphens, such as X-Frame-Options", name)
	case slices.Contains(framingFields, strings.ToLower(name)):
		return Header{}, fmt.Errorf("%s is written by Reprise itself: remove it", name)
	}
	return Header{name, value}, nil
}

// isTokenChar reports whether r is a tchar (RFC 9110, Section 5.6.2).
func isTokenChar(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// parseHSTS returns the value of Strict-Transport-Security (RFC 6797, Section 6.1); empty for false.
func parseHSTS(s string) (string, error) {
	parts := strings.Split(s, ";")
	age, err := parseMaxAge(strings.TrimSpace(parts[0]))
	if err != nil || age < 0 && len(parts) > 1 {
		return "", errors.New("bad value: write " + hstsForm)
	}
	if age < 0 {
		return "", nil
	}
	value := "max-age=" + strconv.Itoa(age)
	var subdomains, preload bool
	for _, part := range parts[1:] {
		switch part = strings.ToLower(strings.TrimSpace(part)); {
		case part == "includesubdomains" && !subdomains:
			subdomains = true
		case part == "preload" && !preload:
			preload = true
		default:
			return "", fmt.Errorf("bad directive %q: write %s", part, hstsForm)
		}
	}
	if subdomains {
		value += "; includeSubDomains"
	}
	if preload {
		if !subdomains || age < year { // what hstspreload.org asks for
			return "", fmt.Errorf("preload takes at least a year and all subdomains: write %d;includeSubDomains;preload", year)
		}
		value += "; preload"
	}
	return value, nil
}

// parseMaxAge reads seconds; -1 stands for false.
func parseMaxAge(s string) (int, error) {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return int(n), nil
	}
	on, err := parseBool(s)
	if on {
		return year, err
	}
	return -1, err
}
