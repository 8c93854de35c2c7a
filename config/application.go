package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"reprise/config/source"
	"reprise/config/source/ini"
)

// Application is a Python application that runs in a uwsgi of its own and gets connections. The
// zero Application means none.
type Application struct {
	// Module is what to import, as PACKAGE.MODULE:CALLABLE; File is a file with the application.
	// One of them is set.
	Module, File string
	// Callable is the name of the application in it; empty leaves it to Module or uwsgi.
	Callable string
	// PythonPath are directories or files to look for modules in, in the order written.
	PythonPath []string
	// Home is the virtual environment; empty means that of the system.
	Home string
	// Dir is its working directory; empty means this process's.
	Dir string
	// Sockets are further addresses where uwsgi listens, by the uwsgi protocol, for other
	// processes.
	Sockets []Address
	// Env are further variables of its environment, as NAME=VALUE. They may be secrets: never log
	// them.
	Env []string
	// Options are further options for uwsgi, as NAME or NAME=VALUE, in the order written.
	Options []string
}

// IsZero reports whether a is "none".
func (a *Application) IsZero() bool { return a.Module == "" && a.File == "" }

const (
	groupApplication = "Running an application"
	uwsgiOption      = "uwsgi-option"
)

var applicationOptions = []option{
	{
		name: "module", aliases: []string{"wsgi"}, group: groupApplication, form: "MODULE:CALLABLE",
		help: "a Python application to run and to route to. It is run by uwsgi, which must be " +
			"installed with its Python plugin",
		set: func(b *builder, value string) error {
			if strings.ContainsAny(value, "/ ") {
				return errors.New(
					"not a module: write PACKAGE.MODULE:CALLABLE, or wsgi-file = FILE")
			}
			b.config.Application.Module = value
			return nil
		},
	},
	{
		name: "wsgi-file", aliases: []string{"file"}, group: groupApplication, form: "FILE",
		help: "the same, by the name of its file, from chdir if that is set",
		set:  text(func(c *Config) *string { return &c.Application.File }),
	},
	{
		name: "callable", group: groupApplication, form: "NAME",
		help: "the name of the application in its module or file, if it is not application",
		set:  text(func(c *Config) *string { return &c.Application.Callable }),
	},
	{
		name: "pythonpath", aliases: []string{
			"python-path",
			"pp",
		}, group: groupApplication, form: "PATH", repeat: true,
		help: "a directory in which to look for modules",
		set:  texts(func(c *Config) *[]string { return &c.Application.PythonPath }),
	},
	{
		name: "virtualenv", aliases: []string{
			"venv", "home",
			"pyhome",
		}, group: groupApplication, form: "DIR",
		help: "the virtual environment of the application",
		set:  text(func(c *Config) *string { return &c.Application.Home }),
	},
	{
		name: "chdir", group: groupApplication, form: "DIR",
		help: "the working directory of the application. Paths in this file start where reprise was " +
			"started all the same",
		set: text(func(c *Config) *string { return &c.Application.Dir }),
	},
	{
		name: "socket", aliases: []string{"uwsgi-socket"}, group: groupApplication, form: "ADDR",
		repeat: true,
		help: "where the application also listens, by the uwsgi protocol. Reprise reaches it by a " +
			"private socket and needs none",
		set: collect(parseSocket, func(b *builder) *[]pendingAddress { return &b.sockets }),
	},
	{
		name: "env", group: groupApplication, form: "NAME=VALUE", repeat: true, mask: maskEnv,
		help: "a variable of the application's environment. reprise check prints its value as ***",
		set: func(b *builder, value string) error {
			name, secret, ok := strings.Cut(value, "=")
			if !ok || name == "" {
				return errors.New("incomplete: write NAME=VALUE")
			}
			if secret == masked {
				b.warnf(b.now, "%s stands for a value that was not shown: write the value", masked)
			}
			b.config.Application.Env = append(b.config.Application.Env, value)
			return nil
		},
	},
	{
		name: uwsgiOption, group: groupApplication, form: "NAME[=VALUE]", repeat: true,
		help: "an option for the uwsgi of the application, such as processes=4. Those of uWSGI's own " +
			"names that concern it are passed on by " +
			"themselves; this is for others",
		set: texts(func(c *Config) *[]string { return &c.Application.Options }),
	},
}

// parseSocket reads an address as uWSGI does: one without a port is the path of a unix socket.
func parseSocket(s string) (Address, error) {
	if !strings.Contains(s, ":") {
		s = ini.Absolute(s)
	}
	return ParseAddress(s)
}

// maskEnv hides the value of a variable.
func maskEnv(value string) string {
	name, _, _ := strings.Cut(value, "=")
	return name + "=" + masked
}

// resolveApplication reports options of the application that are missing or contradict each other.
func (b *builder) resolveApplication() {
	a := &b.config.Application
	a.Sockets = addressesOf(b.sockets)
	if a.Module != "" && a.File != "" {
		b.fail(b.written("wsgi-file").errorf("there is also module, from %s: remove one",
			b.written("module").source))
	}
	if a.IsZero() && !b.failed["module"] {
		b.warnUnused("no effect without module or wsgi-file", "callable", "pythonpath",
			"virtualenv",
			"chdir", "socket", "env")
	}
}

// checkApplicationFiles checks that the files and directories that uwsgi is told to use exist.
func (b *builder) checkApplicationFiles() {
	a := &b.config.Application
	if a.IsZero() {
		return
	}
	isThere := func(option, path string, dir bool) {
		// a file may be anything that uwsgi can open
		if path == "" || strings.Contains(path, "://") {
			return
		}
		if !filepath.IsAbs(path) && option != "chdir" {
			path = filepath.Join(a.Dir, path)
		}
		from := b.written(option)
		switch info, err := os.Stat(path); {
		case err != nil:
			b.fail(from.errorf("cannot read %s: %w", path, source.Cause(err)))
		case info.IsDir() != dir && dir:
			b.fail(from.errorf("%s is not a directory", path))
		case info.IsDir() != dir:
			b.fail(from.errorf("%s is a directory: name a file in it", path))
		}
	}
	isThere("chdir", a.Dir, true)
	isThere("wsgi-file", a.File, false)
	isThere("virtualenv", a.Home, true)
}

// text makes the set function of an option whose value is taken unchanged.
func text(field func(*Config) *string) func(*builder, string) error {
	return fill(field, func(s string) (string, error) { return s, nil })
}

// texts is text for an option that may be repeated.
func texts(field func(*Config) *[]string) func(*builder, string) error {
	return func(b *builder, value string) error {
		list := field(&b.config)
		*list = append(*list, value)
		return nil
	}
}
