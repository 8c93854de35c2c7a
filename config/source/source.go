// Package source defines the entries that readers of configuration files return. Its directories
// hold a reader for each kind of file; none of them knows which options exist.
package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"reprise/config/values"
)

// Entry is an option as written in a file.
type Entry struct {
	Key, Value string
	File       string
	Line       int
	// Option names the option to set to Value; empty means Key.
	Option string
	// Section tells the sections of all files apart.
	Section int
	// Literal says that Value has no variables.
	Literal bool
	// Defines says that Key is a variable, even if there is an option of that name.
	Defines bool
}

// Where returns the place of e, as FILE:LINE.
func (e Entry) Where() string { return fmt.Sprintf("%s:%d", e.File, e.Line) }

// ReadFile returns all of a file that has at most limit bytes.
func ReadFile(name string, limit int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(data) > limit {
		err = fmt.Errorf("more than %s bytes: name a smaller file", values.FormatSize(limit))
	}
	return data, err
}

// Cause strips the operation and path that package os puts before an error.
func Cause(err error) error {
	if pathError := new(fs.PathError); errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
