package config

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// hitchKey is an assignment in a file of hitch's: to a word, a string or a block.
type hitchKey struct {
	name   string
	line   int
	value  string
	quoted bool       // the value stood in quotes
	block  []hitchKey // of KEY = { ... }
}

// hitchSign is the beginning of a line that only hitch has.
var hitchSign = regexp.MustCompile(`(?m)^[ \t]*(frontend|backend|pem-file|pem-dir)[ \t]*=[ \t]*["{]`)

// isHitch reports whether a file is one of hitch's: by its name, or because it has no section and a key that only hitch has.
func isHitch(name string, data []byte) bool {
	base := filepath.Base(name)
	if strings.HasPrefix(base, "hitch") && strings.HasSuffix(base, ".conf") {
		return true
	}
	return hitchSign.Match(data) && !slices.ContainsFunc(bytes.Split(data, []byte("\n")), isHeader)
}

// hitchToken is a word, a string (with its quotes) or one of = { } of a file.
type hitchToken struct {
	text string
	line int
}

// hitchTokens finds tokens and comments. Commas may stand between words.
var hitchTokens = regexp.MustCompile(`#[^\n]*|"[^"\n]*"|[={}]|[^\s={}"#,]+|[",]|\n`)

// readHitchTokens splits a file.
func readHitchTokens(data []byte) []hitchToken {
	var tokens []hitchToken
	line := 1
	for _, text := range hitchTokens.FindAllString(string(data), -1) {
		switch {
		case text == "\n":
			line++
		case text[0] == '#' || text == ",":
		default:
			tokens = append(tokens, hitchToken{text, line})
		}
	}
	return tokens
}

// hitchReader takes assignments off a list of tokens.
type hitchReader struct {
	file   string
	tokens []hitchToken
	last   int // the line of the last token taken
}

// readHitch returns what a file assigns.
func readHitch(file string, data []byte) ([]hitchKey, error) {
	r := &hitchReader{file: file, tokens: readHitchTokens(data)}
	var keys []hitchKey
	for len(r.tokens) > 0 {
		k, err := r.assignment(true)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// next takes a token; empty at the end.
func (r *hitchReader) next() hitchToken {
	if len(r.tokens) == 0 {
		return hitchToken{"", r.last}
	}
	t := r.tokens[0]
	r.tokens, r.last = r.tokens[1:], t.line
	return t
}

// peek returns the text of a token further on; empty beyond the end.
func (r *hitchReader) peek(i int) string {
	if i < len(r.tokens) {
		return r.tokens[i].text
	}
	return ""
}

// assignment takes KEY = VALUE; blocks say whether VALUE may be a block.
func (r *hitchReader) assignment(blocks bool) (hitchKey, error) {
	name := r.next()
	if strings.ContainsAny(name.text, `={}"`) || r.peek(0) != "=" {
		return hitchKey{}, fmt.Errorf("%s:%d: cannot read %q: write key = value", r.file, name.line, name.text)
	}
	r.next()
	k := hitchKey{name: name.text, line: name.line}
	first := r.next()
	switch {
	case first.text == "{" && blocks:
		k.block = []hitchKey{} // it is one, if empty
		for r.peek(0) != "}" {
			if len(r.tokens) == 0 {
				return k, fmt.Errorf("%s:%d: %s = { has no end: write } behind its last key", r.file, k.line, k.name)
			}
			inner, err := r.assignment(false)
			if err != nil {
				return k, err
			}
			k.block = append(k.block, inner)
		}
		r.next()
		return k, nil
	case len(first.text) > 1 && first.text[0] == '"':
		k.value, k.quoted = first.text[1:len(first.text)-1], true
		return k, nil
	case first.text == "" || strings.ContainsAny(first.text, `={}"`):
		return k, fmt.Errorf("%s:%d: %s has no value: write %s = \"VALUE\"", r.file, k.line, k.name, k.name)
	}
	k.value = first.text
	// A list of words, such as that of tls-protos, ends where the next key begins.
	for word := r.peek(0); word != "" && !strings.ContainsAny(word, `={}"`) && r.peek(1) != "="; word = r.peek(0) {
		k.value += " " + r.next().text
	}
	return k, nil
}
