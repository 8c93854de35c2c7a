package replicate

import (
	"math"
	"net/netip"
	"testing"
	"time"
)

// What keeps a configured peer from sharing sessions is reported by a notice with its name
// and address, and shown by its state, also if nothing it sends can be opened.
func TestContactsTellWhatIsWrong(t *testing.T) {
	s := newSim(t, 0)
	s.unlisted = true
	a := s.add(nil)
	otherContext := s.add(func(o *Options) { o.Name, o.Context = "other context", 1 })
	otherClock := s.add(func(o *Options) {
		o.Name, o.Wall = "other clock", func() time.Time { return time.Unix(1e9, 0).Add(s.now + time.Hour) }
	})
	otherSecret := s.add(func(o *Options) { o.Secrets = []Secret{testSecret(t, "another cluster secret")} })
	otherVersion := &simNode{sim: s, addr: elsewhere, down: true}
	silent := &simNode{sim: s, addr: elsewhere2, down: true}
	names := map[netip.AddrPort]string{
		otherContext.addr: "b.example:7171", otherClock.addr: "c.example:7171", otherSecret.addr: "d.example:7171",
		otherVersion.addr: "e.example:7171", silent.addr: "f.example:7171",
	}
	noticed := make(map[NoticeKind]Notice)
	a.Notice = func(m Notice) {
		if m.Kind <= NoticeClock {
			noticed[m.Kind] = m
		}
	}
	a.SetPeers(a.clock(), addrsOf(otherContext, otherClock, otherSecret, otherVersion, silent), names)
	for _, n := range []*simNode{otherContext, otherClock, otherSecret} {
		n.SetPeers(n.clock(), addrsOf(a), nil)
		n.tick()
	}
	a.tick()
	s.run(2 * time.Second)
	a.Receive(a.clock(), elsewhere, []byte{1, 2, 3}) // wire version 1
	for kind, want := range map[NoticeKind]Notice{
		NoticeContext: {Addr: otherContext.addr, Name: "other context"},
		NoticeClock:   {Addr: otherClock.addr, Name: "other clock", Theirs: "1h0m0s"},
		NoticeSecret: {
			Addr: otherSecret.addr, Name: "d.example:7171", TheirByte: otherSecret.secrets[0].ID(),
			OurByte: a.secrets[0].ID(),
		},
		NoticeVersion: {Addr: elsewhere, Name: "e.example:7171", TheirByte: 1, OurByte: 2},
	} {
		got, ok := noticed[kind]
		if got.Kind = 0; !ok || got.Addr != want.Addr || got.Name != want.Name ||
			got.TheirByte != want.TheirByte ||
			got.OurByte != want.OurByte || want.Theirs != "" && got.Theirs != want.Theirs {
			t.Errorf("kind %d: noticed %+v, want %+v", kind, got, want)
		}
	}
	wantContacts(t, a)
	otherClock.down = true
	s.run(5 * time.Second)
	for _, c := range a.stats(a.clock()).Contacts {
		if c.Name == "c.example:7171" && c.State != "lost" {
			t.Errorf("one that fell silent is %q", c.State)
		}
	}
}

// wantContacts compares how the five are shown.
func wantContacts(t *testing.T, a *simNode) {
	states := make(map[string]ContactStats)
	for _, c := range a.stats(a.clock()).Contacts {
		states[c.Name] = c
	}
	for name, want := range map[string]string{
		"b.example:7171": "alive", "c.example:7171": "alive", "d.example:7171": "foreign secret",
		"e.example:7171": "foreign version", "f.example:7171": "never heard",
	} {
		if got := states[name].State; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if states["b.example:7171"].ForeignContext != 1 || math.Round(states["c.example:7171"].ClockApart) != 3600 {
		t.Errorf("contexts and clocks: %+v", states)
	}
}
