// Package config turns the command line and INI files into one checked Config, and prints a Config
// as an INI file again.
//
// # Options
//
// There is one table of options, in the files options*.go. A row gives an option its name, aliases,
// default, help and meaning; INI keys, command-line flags, the help text and the printed
// configuration all come from it. To add an option, add a row, and a field of Config for it to set.
// Names are uWSGI's wherever uWSGI has the option.
//
// Options that only uWSGI has are in the tables of package migrate: each does nothing, warns, is
// passed on to the uwsgi of the application, or is refused with a hint about what to write instead.
//
// The order of options never matters. What a flag says wins over what a file says, and the last
// file wins over those before it; options that may be repeated add up instead.
//
// # Routers
//
// A listener belongs to one of three families: http (https, https2, http, http-to-https), sslrouter
// (and sslrouter2) or rawrouter. All listeners of a family share its backends, and the options that
// say how they are treated: FAMILY-to, FAMILY-balance, FAMILY-check and so on, whose rows one
// function makes.
//
// # INI files
//
// The rules are uWSGI's. Options stand under [uwsgi] or [reprise]; both are read, and sections of
// the same name add up; a line that a later one repeats word for word counts once. FILE:SECTION
// reads another section, :SECTION one of the file before, and `ini = FILE` another file in place.
// The first "=" of a line ends the key, and a key without one stands for true. A line whose first
// character is ";" or "#" is a comment; inside a value they mean nothing.
//
// $(NAME) in a value is a variable of the environment, @(FILE) the content of a file, %(KEY) the
// first value of a key, which may stand before or behind, in any of the files. A key that is not an
// option is an error unless some %(KEY) uses it; `set-placeholder = KEY=VALUE` is never an error.
// %d, %p and others stand for the file and where it is (see magics). The value of a variable is not
// expanded again. A value between """ and """, or between backticks, is taken unchanged, with its
// surrounding spaces.
//
// A file of hitch's is recognised, and its keys are translated to our options.
//
// Yes and no are written true, yes, on, 1 and false, no, off, 0. A duration is a number of seconds
// or what time.ParseDuration reads: 300, 5m, 250ms. A size is a number of bytes, or of 1024, 1024²
// or 1024³ bytes if followed by k, m or g.
//
// # Errors
//
// Every error is reported, in one line that says where, what, and what would be right. An option
// that does not exist is an error. Files that the configuration names are read and checked, but no
// address is bound and no name is resolved. No error, warning or printed configuration shows a
// password.
package config
