package cache

import "testing"

func TestPeekCountsNothing(t *testing.T) {
	c, err := New(Options{Name: "test", Items: 10, KeyLen: 16, BlockLen: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Put([]byte("here"), []byte("value"), Entry{Tag: 3, Expires: 100}, 0)
	c.Put([]byte("held"), []byte("value"), Entry{Expires: 100}, 0)
	c.Hold(nil, []byte("held"), 0, Hold{ID: 50, Until: 50})
	c.Delete([]byte("spent"), 0, 100)
	before := c.Stats()
	for _, test := range []struct {
		key  string
		now  int64
		want Outcome
	}{
		{"here", 1, Hit}, {"here", 100, Expired}, {"held", 1, Held}, {"held", 50, Hit}, {"spent", 1, Spent}, {"nowhere", 1, Unknown},
	} {
		value, entry, got := c.Peek(nil, []byte(test.key), test.now)
		if got != test.want || (got == Hit) != (string(value) == "value") {
			t.Errorf("%s at %d: got %v %q, want %v", test.key, test.now, got, value, test.want)
		}
		if test.key == "here" && got == Hit && entry != (Entry{Tag: 3, Expires: 100}) {
			t.Errorf("entry: got %+v", entry)
		}
	}
	if after := c.Stats(); after != before {
		t.Errorf("statistics changed: %+v, before %+v", after, before)
	}
}
