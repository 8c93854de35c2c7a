package supervise

import "bytes"

// maxLine bounds a line. A longer one is passed on in pieces.
const maxLine = 4096

// lines cuts its input into lines and logs them. Only log must be set; it belongs to one writer at
// a time.
type lines struct {
	log     func(line string)
	partial []byte
}

func (l *lines) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		piece := rest[:min(len(rest), maxLine-len(l.partial))]
		end := bytes.IndexByte(piece, '\n')
		if end >= 0 {
			piece = piece[:end]
		}
		l.partial = append(l.partial, piece...)
		rest = rest[len(piece):]
		if end >= 0 {
			rest = rest[1:]
		}
		if end >= 0 || len(l.partial) == maxLine {
			l.flush()
		}
	}
	return len(p), nil
}

// flush passes on an unfinished line unless it is empty.
func (l *lines) flush() {
	if line := bytes.TrimRight(l.partial, "\r"); len(line) > 0 {
		l.log(string(line))
	}
	l.partial = l.partial[:0]
}
