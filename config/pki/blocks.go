package pki

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxFileSize bounds a file, in bytes: a bundle of all authorities of a browser has a
// quarter of a mebibyte.
const maxFileSize = 4 << 20

// A block is one PEM block.
type block struct {
	label   string // "CERTIFICATE"
	number  int    // in its file, from 1
	line    int    // where it begins, from 1
	headers string // the lines before the data (RFC 1421), "" for none
	data    []byte // decoded
}

func (b *block) isKey() bool { return strings.HasSuffix(b.label, "PRIVATE KEY") }

// errorf says what is wrong with the block.
func (b *block) errorf(format string, args ...any) error {
	return fmt.Errorf("block %d (%s, line %d): %w", b.number, b.label, b.line,
		fmt.Errorf(format, args...))
}

const (
	beginMark = "-----BEGIN"
	endMark   = "-----END"
	markEnd   = "-----"
)

// bom is the byte order mark that some editors write before a text (U+FEFF).
var bom = []byte("\xef\xbb\xbf")

// derSequence is the first byte of a certificate, key or revocation list in DER.
const derSequence = 0x30

// readBlocks returns all blocks of a file. The caller wipes those that hold a key.
func readBlocks(file string) ([]block, error) {
	data, err := readFile(file, maxFileSize)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, err)
	}
	return blocksOf(file, data)
}

// blocksOf returns all blocks in data, which it wipes: it may hold a key.
func blocksOf(file string, data []byte) ([]block, error) {
	defer clear(data)
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New(file + " is empty")
	}
	blocks, err := parse(data)
	if err != nil {
		wipe(blocks)
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(blocks) == 0 && data[0] == derSequence {
		return nil,
			fmt.Errorf("%s is DER, not PEM: write openssl x509 -inform der -in %s, or openssl "+
				"pkey for a key", file, file)
	}
	return blocks, nil
}

// readFile reads a file of bounded size. Errors do not name it.
func readFile(name string, maxSize int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	data := make([]byte, 0, 8<<10)
	for {
		if len(data) == cap(data) {
			grown := append(make([]byte, 0, 4*cap(data)), data...)
			clear(data) // it may hold a key, and append would leave it behind
			data = grown
		}
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case len(data) > maxSize:
			clear(data)
			return nil, fmt.Errorf("more than %d bytes", maxSize)
		case err == io.EOF:
			return data, nil
		case err != nil:
			clear(data)
			return nil, cause(err)
		}
	}
}

// cause strips the file's name from an error.
func cause(err error) error {
	if path := new(fs.PathError); errors.As(err, &path) {
		return path.Err
	}
	return err
}

func wipe(blocks []block) {
	for i := range blocks {
		if blocks[i].isKey() {
			data := blocks[i].data
			clear(data[:cap(data)])
		}
	}
}

// parse finds the blocks. Text around them is not an error (RFC 7468, Section 5.2), but misplaced
// marks are.
func parse(data []byte) (blocks []block, err error) {
	data = bytes.TrimPrefix(data, bom)
	var open *block // the block whose end has not come yet
	// it must not grow: copies that append leaves behind cannot be wiped
	body := make([]byte, 0, len(data)+1)
	defer func() { clear(body[:cap(body)]) }()
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text := bytes.TrimRight(line, " \t\r\n")
		switch label, isMark, err := mark(text); {
		case err != nil:
			return blocks, fmt.Errorf("line %d: %w", number, err)
		case !isMark:
			if open != nil {
				body = append(append(body, text...), '\n')
			}
		case bytes.HasPrefix(text, []byte(beginMark)):
			if open != nil {
				return blocks,
					open.errorf("no END line before the BEGIN line %d: the block is cut off",
						number)
			}
			blocks = append(blocks, block{label: label, number: len(blocks) + 1, line: number})
			open = &blocks[len(blocks)-1]
		case open == nil:
			return blocks, fmt.Errorf("line %d: END %s without BEGIN", number, label)
		case label != open.label:
			return blocks, open.errorf("ends in line %d as END %s", number, label)
		default:
			if err := open.decode(body); err != nil {
				return blocks, err
			}
			open, body = nil, body[:0]
		}
	}
	if open != nil {
		return blocks, open.errorf("no END line: the block is cut off")
	}
	return blocks, nil
}

// mark reports whether a line is a BEGIN or END line, and its label. A line that only contains a
// mark is an error: the files of a chain were joined without a line break.
func mark(text []byte) (label string, isMark bool, err error) {
	for _, m := range []string{beginMark, endMark} {
		i := bytes.Index(text, []byte(m))
		if i < 0 {
			continue
		}
		label, isEnded := strings.CutSuffix(string(text[i+len(m):]), markEnd)
		label, isLabel := strings.CutPrefix(label, " ")
		if i > 0 || !isEnded || !isLabel || strings.Contains(label, "--") {
			return "", false,
				fmt.Errorf("%s must have a line of its own: add a line break, remove what "+
					"stands before or behind it", m[5:])
		}
		return label, true, nil
	}
	return "", false, nil
}

// decode reads the lines between the marks.
func (b *block) decode(body []byte) error {
	// Headers end with an empty line, and only they hold colons.
	headers, rest, found := bytes.Cut(body, []byte("\n\n"))
	if found && bytes.IndexByte(headers, ':') >= 0 {
		b.headers, body = string(headers), rest
	}
	line := b.line + 1 + strings.Count(b.headers, "\n")
	if b.headers != "" {
		line += 2
	}
	for text := range bytes.Lines(body) {
		if i := bytes.IndexFunc(text, notBase64); i >= 0 {
			return b.errorf("line %d is not base64: copy the block again", line)
		}
		line++
	}
	encoded := bytes.ReplaceAll(body, []byte("\n"), nil)
	defer clear(encoded)
	b.data = make([]byte, base64.StdEncoding.DecodedLen(len(encoded)))
	n, err := base64.StdEncoding.Strict().Decode(b.data, encoded)
	if err != nil || n == 0 {
		return b.errorf("its base64 is not whole: copy the block again")
	}
	b.data = b.data[:n]
	return nil
}

func notBase64(r rune) bool {
	switch {
	case r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r >= '0' && r <= '9',
		r == '+', r == '/', r == '=', r == '\n':
		return false
	}
	return true
}
