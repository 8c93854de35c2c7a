package nettest

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of times in /proc: USER_HZ, 100 per second on every
// architecture Go runs on (proc(5), times(2)).
const clockTick = 10 * time.Millisecond

// RSS returns the resident memory of a process in bytes. With many threads the
// kernel's sum may be some 100 KB behind (proc(5) on statm).
func RSS(pid int) (int64, error) {
	fields, err := procFields(pid, "statm")
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// CPUTime returns the processor time, user's and system's, that all threads of a
// process have used so far, in steps of 10 ms.
func CPUTime(pid int) (time.Duration, error) {
	fields, err := procFields(pid, "stat")
	if err != nil {
		return 0, err
	}
	user, err := strconv.ParseInt(fields[13], 10, 64) // utime is field 14 of stat
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[14], 10, 64)
	return time.Duration(user+system) * clockTick, err
}

// procFields returns the space-separated fields of a file in /proc/pid. The program's name in stat
// counts as one field whatever it contains.
func procFields(pid int, file string) ([]string, error) {
	path := fmt.Sprintf("/proc/%d/%s", pid, file)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var fields []string
	if end := bytes.LastIndexByte(data, ')'); end >= 0 {
		fields, data = []string{strconv.Itoa(pid), "name"}, data[end+1:]
	}
	for field := range bytes.FieldsSeq(data) {
		fields = append(fields, string(field))
	}
	if want := map[string]int{"stat": 15, "statm": 2}[file]; len(fields) < want {
		return nil, fmt.Errorf("%s: got %d fields, want at least %d", path, len(fields), want)
	}
	return fields, nil
}
