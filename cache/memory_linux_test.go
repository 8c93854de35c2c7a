package cache

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

// mapping returns what the kernel says about the mapping of mem: its resident kilobytes and its
// flags.
func mapping(t *testing.T, mem []byte) (rssKB int, flags []string) {
	t.Helper()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip("no smaps: ", err)
	}
	start := fmt.Sprintf("%x-", uintptr(unsafe.Pointer(&mem[0])))
	inside := false
	for line := range strings.Lines(string(smaps)) {
		name, value, _ := strings.Cut(line, ":")
		if strings.Contains(name, "-") {
			inside = strings.HasPrefix(line, start)
		}
		if !inside {
			continue
		}
		switch name {
		case "Rss":
			if rssKB, err = strconv.Atoi(strings.Fields(value)[0]); err != nil {
				t.Fatal(err)
			}
		case "VmFlags":
			return rssKB, strings.Fields(value)
		}
	}
	t.Fatalf("no mapping begins at %s", start)
	return 0, nil
}

func TestMappingIsPrivate(t *testing.T) {
	c := newCache(t, small)
	_, flags := mapping(t, c.mem)
	for _, want := range []string{
		"dd", // not in core dumps
		"wf", // wiped on fork
		"nr", // no swap reserved for the whole of it
	} {
		if !slices.Contains(flags, want) {
			t.Errorf("flags %v, want %s", flags, want)
		}
	}
}

func TestNewSaysThatMemoryIsShort(t *testing.T) {
	c, err := New(Options{Name: "ssl", Items: maxItems, KeyLen: maxKeyLen, BlockLen: maxBlockLen})
	if err == nil {
		c.Close()
		t.Fatal("reserved petabytes")
	}
	for _, want := range []string{`cache "ssl": cannot reserve`, "items=1073741824", "cannot allocate memory", "overcommit"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q in it", err, want)
		}
	}
}

// A large configuration costs address space only, and what the kernel counts stays below what Stats
// says.
func TestResidentMemory(t *testing.T) {
	c := newCache(t, Options{Name: "t", Items: 5_000_000, KeyLen: 128, BlockLen: 65_536, Stripes: 16})
	if rss, _ := mapping(t, c.mem); rss > 0 {
		t.Errorf("an empty cache takes %d KB", rss)
	}
	const n = 20_000
	for i := range n {
		c.Put(numbered(i), make([]byte, 200), Entry{Expires: 100}, 0)
		c.Delete(numbered(-i), 0, 100)
	}
	rss, _ := mapping(t, c.mem)
	st := c.Stats()
	if rss<<10 > st.BytesResident {
		t.Errorf("%d KB resident, Stats says at most %d", rss, st.BytesResident>>10)
	}
	t.Logf("%d entries and tombstones: %d KB live, %d KB resident, bound %d KB, reserved %d GB",
		n, st.BytesLive>>10, rss, st.BytesResident>>10, st.BytesReserved>>30)
}
