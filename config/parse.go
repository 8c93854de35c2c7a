package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"
	"unicode"

	"reprise/config/migrate"
	"reprise/config/source"

	"github.com/spf13/pflag"
)

// ErrHelp is returned by Parse when the arguments ask for help, which WriteHelp prints.
var ErrHelp = pflag.ErrHelp

// Parse reads a command line without the program's name: flags and INI files in any order, such as
// `edge.ini --loops 2`. Its error has a line for each mistake.
func Parse(args []string) (*Config, error) { return newBuilder().parse(args) }

// Reread is Parse for a node that serves: a certificate that cannot be read or used is not an
// error, so that it does not harm others. Config.Unusable lists each.
func Reread(args []string) (*Config, error) {
	b := newBuilder()
	b.serving = true
	return b.parse(args)
}

func (b *builder) parse(args []string) (*Config, error) {
	files, flags, err := parseFlags(args)
	if err != nil {
		return nil, err
	}
	settings := b.readFiles(files)
	if b.unread {
		return b.result()
	}
	b.apply(append(settings, flags...))
	b.readSNIDirs()
	b.resolve()
	b.checkFiles()
	return b.result()
}

// setting is one option as it was written.
type setting struct {
	option *option
	key    string // the option's name or the alias that was written
	value  string
	source string // "edge.ini:12", "--loops" or byDefault
}

// byDefault is the source of settings that were not written.
const byDefault = "default"

// String returns the place and the text of the setting, as the beginning of a line about it.
func (s setting) String() string {
	if strings.HasPrefix(s.source, "--") {
		return fmt.Sprintf("%s %q", s.source, s.shown())
	}
	return fmt.Sprintf("%s: %s = %q", s.source, s.key, s.shown())
}

// shown returns the value with any secret masked.
func (s setting) shown() string {
	if s.option.mask != nil {
		return s.option.mask(s.value)
	}
	return s.value
}

// errorf returns an error about the setting.
func (s setting) errorf(format string, args ...any) error {
	return fmt.Errorf("%v: %w", s, fmt.Errorf(format, args...))
}

// builder collects settings until all are known and can be made into a Config, so their order does
// not matter.
type builder struct {
	config Config
	errs   []error
	failed map[string]bool // the names of options with a bad value
	unread bool            // a file could not be read: settings that seem missing may be in it

	serving bool // an unusable certificate is not an error

	read                    func(name string, limit int) ([]byte, error) // a file that a file names
	filesRead, sectionsRead int

	now       setting // the one being applied
	listeners []pendingListener
	names     []pendingCertificate // from sni
	alpn      []string
	contexts  [len(Routers)]string // for all listeners of a Router; empty: each has its own

	named []pendingPool // the named pools, as far as they are written
	rules []pendingRule // of use-pool

	subscriptionServers []pendingAddress
	signCheck           setting // of the keys of subscribers; its option is nil if there is none

	patience struct{ connect, idle time.Duration } // of pools that state none

	application bool // an option brings a backend for the http listeners along

	legacyCache     int // items; 0: none
	legacyBlockSize int
	cacheFrom       map[string]setting        // by the name of the cache
	cacheUDP        map[string]cacheAddresses // the same

	udpServers, udpNodes, repeaters []pendingAddress
	admins                          []pendingAddress
	secrets                         []setting // each names a file
	crls                            []setting // each names a file

	sniDirs       []setting // each names a directory
	sniDirCiphers string
	sockets       []pendingAddress // of the application
}

func newBuilder() *builder {
	return &builder{
		failed: make(map[string]bool), read: source.ReadFile,
		cacheFrom: make(map[string]setting), cacheUDP: make(map[string]cacheAddresses),
	}
}

// apply sets defaults first and then settings, so that later ones win.
func (b *builder) apply(settings []setting) {
	for i := range options {
		if o := &options[i]; o.byDefault != "" {
			b.set(setting{o, o.name, o.byDefault, byDefault})
		}
	}
	for _, s := range settings {
		b.set(s)
	}
}

func (b *builder) set(s setting) {
	if s.value == "" && s.option.optional {
		s.value = "true"
	}
	b.now = s
	b.config.settings = append(b.config.settings, s)
	if strings.ContainsFunc(s.value, isControl) {
		b.reject(s, errors.New("control character: remove it"))
	} else if s.value == "" {
		b.reject(s, fmt.Errorf("no value: write %s", s.option.form))
	} else if err := s.option.set(b, s.value); err != nil {
		b.reject(s, err)
	}
}

// isControl reports whether r would break a line of a file, a log or a terminal.
func isControl(r rune) bool { return unicode.IsControl(r) && r != '\t' }

// reject fails because of the value of s.
func (b *builder) reject(s setting, err error) {
	b.failed[s.option.name] = true
	r := uwsgiTable.Named(s.key)
	// an option of ours whose name means something else there
	if r != nil && r.Verdict == migrate.Refused {
		err = fmt.Errorf("%w; if uWSGI's is meant: %s", err, r.Note)
	}
	b.fail(s.errorf("%w", err))
}

func (b *builder) fail(err error) { b.errs = append(b.errs, err) }

// unusable fails because of a certificate, or only records it on a node that serves.
func (b *builder) unusable(certFile string, err error) {
	if b.serving {
		b.config.Unusable = append(b.config.Unusable, Unusable{certFile, err})
	} else {
		b.fail(err)
	}
}

// warnf warns about s.
func (b *builder) warnf(s setting, format string, args ...any) {
	b.warn(s.String() + ": " + fmt.Sprintf(format, args...))
}

func (b *builder) warn(line string) { b.config.Warnings = append(b.config.Warnings, line) }

// written returns the last setting of an option, which is the one that counts unless it is
// repeated. Its option is nil if there is neither a setting nor a default.
func (b *builder) written(name string) (last setting) {
	for _, s := range b.config.settings {
		if s.option.name == name {
			last = s
		}
	}
	return last
}

func (b *builder) result() (*Config, error) {
	if err := errors.Join(b.errs...); err != nil {
		return nil, err
	}
	return &b.config, nil
}

// parseFlags splits args into files and settings, in order. Values are not looked at yet.
func parseFlags(args []string) (files []string, settings []setting, err error) {
	fs := newFlagSet()
	included := fs.StringArray("ini", nil, "")
	for _, named := range []map[string]*option{optionsByName, goneByName} {
		for name, o := range named {
			addFlag(fs, o, name, &settings)
		}
	}
	err = fs.Parse(args)
	var unknown *pflag.NotExistError
	var incomplete *pflag.ValueRequiredError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		return nil, nil, unknownOption("", "--"+unknown.GetSpecifiedName())
	case errors.As(err, &unknown):
		return nil, nil, fmt.Errorf("unknown option %q: options start with --",
			"-"+unknown.GetSpecifiedShortnames())
	case errors.As(err, &incomplete):
		name := incomplete.GetSpecifiedName()
		form := "FILE"
		if o := optionsByName[name]; o != nil {
			form = o.form
		}
		return nil, nil, fmt.Errorf("--%s: no value: write --%s %s", name, name, form)
	case err == nil:
		err = detachedValue(args)
	}
	return append(*included, fs.Args()...), settings, err
}

// detachedValue reports an argument that was meant as the value of an option that needs none and
// was taken for a file: --http-send-proxy v2.
func detachedValue(args []string) error {
	for i := 1; i < len(args); i++ {
		name, isOption := strings.CutPrefix(args[i-1], "--")
		o, value := optionsByName[name], args[i]
		if !isOption || o == nil || !o.optional || strings.HasPrefix(value, "-") {
			continue
		}
		isName := path.Ext(value) != "" && !unicode.IsDigit(rune(value[0])) // 1.5s is a duration
		if _, err := os.Stat(value); err != nil && !isName {
			return fmt.Errorf("--%s: its value stands apart: write --%s=%s", name, name, value)
		}
	}
	return nil
}

// newFlagSet returns an empty set that prints nothing by itself.
func newFlagSet() *pflag.FlagSet {
	fs := pflag.NewFlagSet("reprise", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	return fs
}

// addFlag makes a flag that appends to settings.
func addFlag(fs *pflag.FlagSet, o *option, name string, settings *[]setting) {
	f := fs.VarPF(&flagValue{o, name, settings}, name, "", o.help)
	f.DefValue = o.byDefault
	if o.optional {
		f.NoOptDefVal = "true"
	}
}

// flagValue implements pflag.Value. It only records, so that bad values are reported together and
// in the same form as those of files.
type flagValue struct {
	option   *option
	name     string
	settings *[]setting
}

func (v *flagValue) Set(value string) error {
	*v.settings = append(*v.settings, setting{v.option, v.name, value, "--" + v.name})
	return nil
}

func (v *flagValue) String() string { return "" }

func (v *flagValue) Type() string {
	if v.option.form == boolForm {
		return "bool" // which pflag's help leaves out
	}
	return v.option.form
}
