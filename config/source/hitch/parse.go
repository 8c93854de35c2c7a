package hitch

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"reprise/config/source/ini"
)

// key is an assignment in a file of hitch's: to a word, a string or a block.
type key struct {
	name   string
	line   int
	value  string
	quoted bool  // the value stood in quotes
	block  []key // of KEY = { ... }
}

// sign is the beginning of a line that only hitch has.
var sign = regexp.MustCompile(`(?m)^[ \t]*(frontend|backend|pem-file|pem-dir)[ \t]*=[ \t]*["{]`)

// Is reports whether a file is one of hitch's: by its name, or because it has no section and a key
// that only hitch has.
func Is(name string, data []byte) bool {
	base := filepath.Base(name)
	if strings.HasPrefix(base, "hitch") && strings.HasSuffix(base, ".conf") {
		return true
	}
	return sign.Match(data) && !ini.HasSection(data)
}

// token is a word, a string (with its quotes) or one of = { } of a file.
type token struct {
	text string
	line int
}

// tokenPattern finds tokens and comments. Commas may stand between words.
var tokenPattern = regexp.MustCompile(`#[^\n]*|"[^"\n]*"|[={}]|[^\s={}"#,]+|[",]|\n`)

// readTokens splits a file.
func readTokens(data []byte) []token {
	var tokens []token
	line := 1
	for _, text := range tokenPattern.FindAllString(string(data), -1) {
		switch {
		case text == "\n":
			line++
		case text[0] == '#' || text == ",":
		default:
			tokens = append(tokens, token{text, line})
		}
	}
	return tokens
}

// reader takes assignments off a list of tokens.
type reader struct {
	file   string
	tokens []token
	last   int // the line of the last token taken
}

// readKeys returns what a file assigns.
func readKeys(file string, data []byte) ([]key, error) {
	r := &reader{file: file, tokens: readTokens(data)}
	var keys []key
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
func (r *reader) next() token {
	if len(r.tokens) == 0 {
		return token{"", r.last}
	}
	t := r.tokens[0]
	r.tokens, r.last = r.tokens[1:], t.line
	return t
}

// peek returns the text of a token further on; empty beyond the end.
func (r *reader) peek(i int) string {
	if i < len(r.tokens) {
		return r.tokens[i].text
	}
	return ""
}

// assignment takes KEY = VALUE; blocks say whether VALUE may be a block.
func (r *reader) assignment(blocks bool) (key, error) {
	name := r.next()
	if strings.ContainsAny(name.text, `={}"`) || r.peek(0) != "=" {
		return key{}, fmt.Errorf("%s:%d: cannot read %q: write key = value", r.file, name.line,
			name.text)
	}
	r.next()
	k := key{name: name.text, line: name.line}
	first := r.next()
	switch {
	case first.text == "{" && blocks:
		k.block = []key{} // a block, even if empty
		for r.peek(0) != "}" {
			if len(r.tokens) == 0 {
				return k, fmt.Errorf("%s:%d: %s = { has no end: write } behind its last key",
					r.file, k.line,
					k.name)
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
		return k, fmt.Errorf("%s:%d: %s has no value: write %s = \"VALUE\"", r.file, k.line, k.name,
			k.name)
	}
	k.value = first.text
	// A list of words, such as that of tls-protos, ends where the next key begins.
	for word := r.peek(0); word != "" && !strings.ContainsAny(word, `={}"`) &&
		r.peek(1) != "="; word = r.peek(0) {
		k.value += " " + r.next().text
	}
	return k, nil
}
