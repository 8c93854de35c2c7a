// Package values reads the values of options as an operator writes them. Its errors say what would
// be right.
package values

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bool reads yes and no.
func Bool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, errors.New("not a boolean: write true or false")
}

// Int reads a whole number from low to high.
func Int(s string, low, high int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("bad number: write a whole number from %d to %d", low, high)
	}
	return n, nil
}

// Size reads a number of bytes from low to high, with an optional suffix k, m or g.
func Size(s string, low, high int) (int, error) {
	digits, shift := strings.ToLower(s), 0
	for i, unit := range []string{"k", "m", "g"} {
		if d, ok := strings.CutSuffix(digits, unit); ok {
			digits, shift = d, 10*(i+1)
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > math.MaxInt>>shift || int(n<<shift) < low || int(n<<shift) > high {
		return 0, fmt.Errorf("bad size: write bytes from %s to %s, such as 65536 or 64k",
			FormatSize(low),
			FormatSize(high))
	}
	return int(n << shift), nil
}

// FormatSize writes n as Size reads it, in the shortest form.
func FormatSize(n int) string {
	suffix := ""
	for _, unit := range []string{"k", "m", "g"} {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, suffix = n/1024, unit
	}
	return strconv.Itoa(n) + suffix
}

// Duration reads a duration from low to high, as Go or systemd write it: "1m30s", "1min 30s",
// "300ms"; a number alone is seconds, such as 10 or 0.3.
func Duration(s string, low, high time.Duration) (time.Duration, error) {
	d, ok := parseDuration(s)
	if !ok || d < low || d > high {
		return 0, fmt.Errorf("bad duration: write %s to %s, such as 10 (seconds), 250ms or 2m",
			FormatDuration(low), FormatDuration(high))
	}
	return d, nil
}

// units are those of durations, as Go and systemd.time(7) name them, but for months and years,
// which have no fixed length.
var units = func() map[string]time.Duration {
	byName := make(map[string]time.Duration)
	for names, unit := range map[string]time.Duration{
		"ns nsec":                 time.Nanosecond,
		"us \u00b5s \u03bcs usec": time.Microsecond, // both of Unicode's letters
		"ms msec":                 time.Millisecond,
		"s sec second seconds":    time.Second,
		"m min minute minutes":    time.Minute,
		"h hr hour hours":         time.Hour,
		"d day days":              24 * time.Hour,
		"w week weeks":            7 * 24 * time.Hour,
	} {
		for name := range strings.FieldsSeq(names) {
			byName[name] = unit
		}
	}
	return byName
}()

// parseDuration adds up terms of a number and a unit, which may stand apart.
func parseDuration(s string) (time.Duration, bool) {
	if d, ok := inUnits(s, time.Second); ok { // a number alone
		return d, true
	}
	const digits = "0123456789."
	var sum time.Duration
	for rest := strings.TrimSpace(s); rest != ""; {
		unitText := strings.TrimLeft(rest, digits)
		number := rest[:len(rest)-len(unitText)]
		unitText = strings.TrimLeft(unitText, " ")
		end := strings.IndexAny(unitText, digits+" ")
		if end < 0 {
			end = len(unitText)
		}
		unit, known := units[unitText[:end]]
		term, ok := inUnits(number, unit)
		if !known || !ok || term > math.MaxInt64-sum {
			return 0, false
		}
		sum += term
		rest = strings.TrimLeft(unitText[end:], " ")
	}
	return sum, strings.TrimSpace(s) != ""
}

// inUnits reads a number without a sign, which may have a fraction.
func inUnits(number string, unit time.Duration) (time.Duration, bool) {
	if strings.Trim(number, "0123456789.") != "" { // ParseFloat reads 1e9 and Inf too
		return 0, false
	}
	n, err := strconv.ParseFloat(number, 64)
	if n = math.Round(n * float64(unit)); err != nil || n >= math.MaxInt64 {
		return 0, false
	}
	return time.Duration(n), true
}

// FormatDuration writes d without the units that are zero.
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Pair is one key=value of a list.
type Pair struct{ Key, Value string }

// Pairs reads key=value,key=value. A backslash escapes the character after it; keys may be spelt
// with - for _.
func Pairs(s string) ([]Pair, error) {
	var pairs []Pair
	for _, item := range splitEscaped(s) {
		key, value, _ := strings.Cut(item, "=")
		if key = strings.TrimSpace(key); key == "" {
			return nil, fmt.Errorf("no key in %q: write key=value,key=value", item)
		}
		pairs = append(pairs, Pair{strings.ReplaceAll(key, "-", "_"), strings.TrimSpace(value)})
	}
	return pairs, nil
}

// splitEscaped splits s at commas without a backslash before them.
func splitEscaped(s string) []string {
	var items []string
	var item []byte
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			item = append(item, s[i])
		case s[i] == ',':
			items, item = append(items, string(item)), nil
		default:
			item = append(item, s[i])
		}
	}
	return append(items, string(item))
}
