package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"reprise/config/values"
)

const (
	defaultKeepAlive = time.Minute
	hstsForm         = "SECONDS, true or false, then ;includeSubDomains and ;preload if wanted"
	year             = 365 * 24 * 60 * 60 // seconds
)

// parseKeepAlive reads a duration, or whether to keep connections at all. As in uWSGI, 1 means yes,
// not one second.
func parseKeepAlive(s string) (time.Duration, error) {
	switch on, err := values.Bool(s); {
	case err != nil:
		return values.Duration(s, time.Second, week)
	case on:
		return defaultKeepAlive, nil
	default:
		return 0, nil
	}
}

// parseHSTS returns the value of Strict-Transport-Security (RFC 6797, Section 6.1); empty for
// false.
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
			return "", fmt.Errorf("preload takes at least a year and all subdomains: write "+
				"%d;includeSubDomains;preload", year)
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
	on, err := values.Bool(s)
	if on {
		return year, err
	}
	return -1, err
}
