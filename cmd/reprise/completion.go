package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"reprise/config"
)

// completion prints a script for a shell, made from the tables that the program itself uses.
func completion(args []string, stdout io.Writer) error {
	scripts := map[string]func(*strings.Builder){
		"bash": bashCompletion, "zsh": zshCompletion,
		"fish": fishCompletion,
	}
	if len(args) != 1 || scripts[args[0]] == nil {
		return errors.New("completion: name a shell: bash, zsh or fish")
	}
	var out strings.Builder
	scripts[args[0]](&out)
	_, err := io.WriteString(stdout, out.String())
	return err
}

// optionFlags are the options that serve and check take, as flags.
func optionFlags() string {
	var flags []string
	for _, o := range config.Options() {
		flags = append(flags, "--"+o.Name)
	}
	return strings.Join(flags, " ")
}

// takesOptions reports whether a command takes the options of the configuration.
func (c *command) takesOptions() bool { return strings.Contains(c.args, "--OPTION") }

// firstWords are the possible first arguments, besides files.
func firstWords() string {
	var words []string
	for _, c := range commands() {
		words = append(words, c.name)
	}
	return strings.Join(append(words, "--help", "--version"), " ")
}

// next are the words and flags that may follow a command.
func (c *command) next() string {
	words := append([]string(nil), c.words...)
	for _, f := range c.flags {
		words = append(words, "--"+f)
	}
	return strings.Join(words, " ")
}

func bashCompletion(out *strings.Builder) {
	fmt.Fprintf(out, `# Completion of reprise for bash. reprise completion bash wrote it.
_reprise() {
	local cur=${COMP_WORDS[COMP_CWORD]} words
	local options="%s"
	case ${COMP_WORDS[1]} in
`, optionFlags())
	for _, c := range commands() {
		words := c.next()
		if c.takesOptions() {
			words = "$options"
		}
		fmt.Fprintf(out, "\t%s) words=\"%s\" ;;\n", c.name, words)
	}
	fmt.Fprintf(out, `	*) words="$options" ;;
	esac
	if ((COMP_CWORD == 1)); then words="%s $options"; fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	if [[ $cur != -* ]]; then mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur"); fi
}
complete -o filenames -F _reprise reprise
`, firstWords())
}

func zshCompletion(out *strings.Builder) {
	quote := strings.NewReplacer(`'`, `'\''`, `\`, `\\`, `[`, `\[`, `]`, `\]`, `:`, `\:`).Replace
	out.WriteString(
		"#compdef reprise\n# Completion of reprise for zsh. reprise completion zsh wrote it.\n\n_reprise() {\n\tlocal -a options commands\n\toptions=(\n")
	for _, o := range config.Options() {
		repeat, value := "", ":"+quote(o.Form)+":_files"
		if o.Repeat {
			repeat = "*"
		}
		form := "--" + o.Name + "="
		if o.Optional {
			form, value = form+"-", ":"+value // the value is optional, and follows =
		}
		fmt.Fprintf(out, "\t\t'%s%s[%s]%s'\n", repeat, form, quote(firstSentence(o.Help)), value)
	}
	out.WriteString("\t)\n\tcommands=(\n")
	for _, c := range commands() {
		fmt.Fprintf(out, "\t\t'%s:%s'\n", c.name, quote(c.summary))
	}
	out.WriteString(
		"\t)\n\tif ((CURRENT == 2)); then\n\t\t_describe command commands\n\t\t_arguments $options '*:file:_files'\n\t\treturn\n\tfi\n\tcase $words[2] in\n")
	for _, c := range commands() {
		if c.takesOptions() {
			continue
		}
		fmt.Fprintf(out, "\t%s) compadd -- %s; _files ;;\n", c.name, c.next())
	}
	out.WriteString("\t*) _arguments $options '*:file:_files' ;;\n\tesac\n}\n\n_reprise \"$@\"\n")
}

func fishCompletion(out *strings.Builder) {
	quote := func(text string) string {
		return "'" +
			strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
	}
	out.WriteString("# Completion of reprise for fish. reprise completion fish wrote it.\n")
	var without []string // the commands that do not take options of the configuration
	for _, c := range commands() {
		fmt.Fprintf(out, "complete -c reprise -n __fish_use_subcommand -a %s -d %s\n", c.name,
			quote(c.summary))
		if !c.takesOptions() {
			without = append(without, c.name)
		}
		for _, word := range c.words {
			fmt.Fprintf(out, "complete -c reprise -n '__fish_seen_subcommand_from %s' -a %s\n",
				c.name, word)
		}
		for _, flag := range c.flags {
			fmt.Fprintf(out, "complete -c reprise -n '__fish_seen_subcommand_from %s' -l %s\n",
				c.name, flag)
		}
	}
	for _, o := range config.Options() {
		value := " -r"
		if o.Optional {
			value = ""
		}
		fmt.Fprintf(out,
			"complete -c reprise -n 'not __fish_seen_subcommand_from %s' -l %s%s -d %s\n",
			strings.Join(without, " "), o.Name, value, quote(firstSentence(o.Help)))
	}
}

// firstSentence is the first sentence of a help, or part of it.
func firstSentence(help string) string {
	help, _, _ = strings.Cut(help, ". ")
	help, _, _ = strings.Cut(help, ": ")
	return help
}
