package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestVariables(t *testing.T) {
	inPKI(t)
	t.Setenv("EDGE_NAME", "from $(HOME)")
	writeFile(t, "edge.txt", []byte("\n of %(file)\nand more \n"))
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, ini, want string }{
		{"environment, once", "name = a $(EDGE_NAME) b", "a from $(HOME) b"},
		{"an earlier key", "x = 1\nname = %(x)", "1"},
		{"a later key", "name = %(x)\nx = 1", "1"},
		{"an option of ours", "log-format = json\nname = %(log-format)", "json"},
		{"the first of several", "x = 1\nx = 2\nname = %(x)", "1"},
		{"a key of a key", "name = <%(x)>\nx = (%(y))\ny = $(EDGE_NAME)", "<(from $(HOME))>"},
		{"placeholders", "set-placeholder = x=1\nset-ph = y = 2=3 \nset = name = %(x)%(y)", "12=3"},
		{"an unused placeholder", "set-ph = x=1\nname = a", "a"},
		{"a placeholder by the name of an option", "set-ph = idle-timeout=x\nname = %(idle-timeout)", "x"},
		{"a key that uWSGI has too", "vacuum = 5\nname = %(vacuum)", "5"},
		{"percent", "name = 100%% %z% %(x)\nx=%%d", "100% %z% %d"},
		{"a zone of an address", "name = [fe80::1%eth0]:1 fe80::a%docker0 a:1%%k", "[fe80::1%eth0]:1 fe80::a%docker0 a:1%k"},
		{"the file", "name = %s %n %e %o", "edge.ini edge ini edge.ini"},
		{"where it is", "name = %p %d %v %c", dir + "/edge.ini " + dir + "/ " + dir + " " + filepath.Base(dir)},
		{"the machine", "name = %h %k %u", host + " " + cores + " " + strconv.Itoa(os.Getuid())},
		{"no variables", "name = $ @ % $x @x $(x @( %(", "$ @ % $x @x $(x @( %("},
		{"in quotes", `name = """%d $(EDGE_NAME) %(x)"""`, "%d $(EDGE_NAME) %(x)"},
		{"in backticks", "name = `%%`", "%%"},
		{"of a quoted key", "name = %(x)\nx = `%d`", "%d"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := mustParse(t, good+test.ini).Name; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	t.Run("the content of a file", func(t *testing.T) {
		writeFile(t, "password", []byte(" hidden\n"))
		c := mustParse(t, good+"cluster-secret-file = secret\nsession-store = redis://:%20@(password)%dd@h/1")
		if got, want := c.SessionStores[0], "redis://:%20hidden%dd@h/1"; got != want {
			t.Errorf("got %q, want %q, with the percent signs of the URL", got, want)
		}
	})
}

func TestIncludes(t *testing.T) {
	inPKI(t)
	writeFile(t, "rest.ini", []byte("[uwsgi]\nname = rest\nsslrouter-to = :9001\nset-ph = x=5\n[blue]\nname = blue\nini = :green\n[green]\nlinger-timeout = %(x)\n"))
	writeFile(t, "colon:1.ini", []byte("[reprise]\nname = colon"))
	tests := []struct {
		name, ini, args string
		node, linger    string
	}{
		{"in place", "name = first\nini = rest.ini", "", "rest", "5s"},
		{"what comes behind wins", "ini = rest.ini\nname = last", "", "last", "5s"},
		{"a section", "ini = rest.ini:blue\nx=7", "", "blue", "7s"},
		{"two sections of a file", "ini = rest.ini\nini = rest.ini:blue", "", "blue", "5s"},
		{"by the directory of this file", "ini = %drest.ini", "", "rest", "5s"},
		{"a section of this file", "ini = :more\n[more]\nname = more", "", "more", "5s"},
		{"a colon in its name", "ini = colon:1.ini", "", "colon", "5s"},
		{"by argument", "", "rest.ini", "rest", "5s"},
		{"a section of the file before", "", "rest.ini :blue", "blue", "5s"},
		{"by flag", "", "--ini rest.ini --ini rest.ini:green", "", "5s"},
		{"a variable from another file", "linger-timeout = %(x)", "rest.ini", "rest", "5s"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := mustParse(t, good+test.ini, strings.Fields(test.args)...)
			if got := c.Tuning.LingerTimeout.String(); c.Name != test.node && test.node != "" ||
				got != test.linger {
				t.Errorf("got name %q and linger-timeout %s, want %q and %s", c.Name, got, test.node, test.linger)
			}
		})
	}
}

// uWSGI's document shows a file with the same section twice: repeated lines count once.
func TestRepeatedSections(t *testing.T) {
	inPKI(t)
	section := "[uwsgi]\nsslrouter = :8443,cert.pem,key.pem\nsslrouter-to = :1\nsslrouter-to = :2\ncache = 20000\ncache-udp-server = OWN\n"
	c := mustParse(t, strings.ReplaceAll(section, "OWN", "127.0.0.2:7171")+"cache-udp-node = 127.0.0.1:7171\ncache-udp-node = 127.0.0.3:7171\n"+
		strings.ReplaceAll(section, "OWN", "127.0.0.3:7171")+"cache-udp-node = 127.0.0.1:7171\ncache-udp-node = 127.0.0.2:7171\n[reprise]\ncluster-secret-file = secret\n")
	listeners, backends := c.inForce(optionsByName["sslrouter"]), c.inForce(optionsByName["sslrouter-to"])
	if len(listeners) != 1 || len(backends) != 2 || len(c.Warnings) > 0 {
		t.Errorf("got listeners %v, backends %v and warnings %q, want one, two and none", listeners, backends, c.Warnings)
	}
	if s := c.Replication; len(s.Listen) != 2 || len(s.Peers) != 1 {
		t.Errorf("got %v and peers %v, want both own addresses and the one node that is another", s.Listen, s.Peers)
	}
	twice := mustParse(t, good+"sslrouter-to = :1\nsslrouter-to = :1\n")
	if backends = twice.inForce(optionsByName["sslrouter-to"]); len(backends) != 3 {
		t.Errorf("got %v: within a section what stands twice is meant twice", backends)
	}
}
