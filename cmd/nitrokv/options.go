package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// An option is one setting of one or more commands. The flag, the variable, --help and "nitrokv options" are all made
// from it.
type option struct {
	name string // of the flag
	arg  string // what stands for the value in the help; empty: a switch
	def  string // as it would be typed
	help string
	flag bool // has no variable: the setting belongs to one command line
	many bool // may be repeated; in the variable separated by commas

	set func(text string) error // parses and stores; its error says why and what to do
}

// source says where a setting came from; a later one wins.
type source int

const (
	fromDefault source = iota
	fromVariable
	fromFlag
)

const envPrefix = "NITROKV_"

// variable returns the name of the option's environment variable, or "".
func (o *option) variable() string {
	if o.flag {
		return ""
	}
	return envPrefix + strings.ToUpper(strings.ReplaceAll(o.name, "-", "_"))
}

// texts collects what was typed for an option; it is parsed later, when it is known which source wins.
type texts struct {
	option *option
	given  []string
}

func (t *texts) String() string { return t.option.def }
func (t *texts) Type() string   { return t.option.arg }

func (t *texts) Set(s string) error {
	t.given = append(t.given, s)
	return nil
}

// settings are the options of one command.
type settings struct {
	options []option
	texts   []texts
	sources map[string]source // by option, after resolve
}

// attach makes the command's flags.
func (s *settings) attach(c *cobra.Command) {
	s.texts = make([]texts, len(s.options))
	for i := range s.options {
		o := &s.options[i]
		s.texts[i].option = o
		f := c.Flags().VarPF(&s.texts[i], o.name, "", o.describe())
		if o.arg == "" {
			f.NoOptDefVal = "true"
		}
	}
	c.Flags().SortFlags = false
	c.SetUsageFunc(func(c *cobra.Command) error {
		_, err := io.WriteString(c.OutOrStdout(), s.usage(c))
		return err
	})
}

// resolve gives every option the value of its strongest source: flag, variable, default.
func (s *settings) resolve(env []string) error {
	s.sources = make(map[string]source)
	for i := range s.options {
		o := &s.options[i]
		given, from := s.texts[i].given, fromFlag
		where := "--" + o.name
		if len(given) == 0 {
			given, from = []string{o.def}, fromDefault
			if text, ok := lookup(env, o.variable()); ok {
				given, from, where = o.split(text), fromVariable, o.variable()
			}
		}
		s.sources[o.name] = from
		for _, text := range given {
			if err := o.set(text); err != nil {
				return fmt.Errorf("%s %q: %w", where, text, err)
			}
		}
	}
	return nil
}

func (o *option) split(text string) []string {
	if !o.many {
		return []string{text}
	}
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// lookup finds a variable in an environment of NAME=value texts. An empty variable counts as not set.
func lookup(env []string, name string) (string, bool) {
	if name == "" {
		return "", false
	}
	for _, e := range slices.Backward(env) {
		if text, ok := strings.CutPrefix(e, name+"="); ok {
			return text, text != ""
		}
	}
	return "", false
}

// warnUnknown mentions variables that look like settings and are none: most likely they are misspelled.
func warnUnknown(t terminal) {
	known := make(map[string]bool)
	for _, s := range allSettings() {
		for i := range s.options {
			known[s.options[i].variable()] = true
		}
	}
	for _, e := range t.env {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, envPrefix) && !known[name] {
			fmt.Fprintf(t.stderr, "nitrokv: warning: %s is set, but there is no such setting; \"nitrokv options\" lists them\n", name)
		}
	}
}

// describe is the option's text in the help, with variable and default.
func (o *option) describe() string {
	text := o.help
	if o.def != "" && o.arg != "" {
		text += " (default " + o.def + ")"
	}
	if v := o.variable(); v != "" {
		text += " [" + v + "]"
	}
	return text
}

// usage is what --help shows below a command's description.
func (s *settings) usage(c *cobra.Command) string {
	text := "Usage:\n  " + c.UseLine() + "\n"
	if len(c.Aliases) > 0 {
		text += "\nAlso called: " + strings.Join(c.Aliases, ", ") + "\n"
	}
	if c.HasExample() {
		text += "\nExamples:\n" + c.Example + "\n"
	}
	text += "\nOptions:\n"
	width := 0
	c.Flags().VisitAll(func(f *pflag.Flag) { width = max(width, len(f.Name)+len(f.Value.Type())+3) })
	c.Flags().VisitAll(func(f *pflag.Flag) {
		arg := f.Value.Type()
		if f.Name == "help" {
			arg = ""
		}
		text += fmt.Sprintf("  %-*s  %s\n", width, strings.TrimSpace("--"+f.Name+" "+arg), f.Usage)
	})
	return text
}

// allSettings are the settings of all commands, for lists.
func allSettings() []*settings {
	var serve serveConfig
	var kv kvConfig
	var put putConfig
	var bench benchConfig
	var check checkConfig
	return []*settings{
		{options: serve.options()}, {options: kv.options()}, {options: put.options()}, {options: bench.options()},
		{options: check.options()},
	}
}

// newOptions is "nitrokv options", the reference.
func newOptions() *cobra.Command {
	return &cobra.Command{
		Use:                   "options",
		Short:                 "List every option with its variable and default, as Markdown",
		Args:                  noOperands,
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := io.WriteString(c.OutOrStdout(), optionsTable())
			return err
		},
	}
}

// optionsTable is the reference of all options in Markdown.
func optionsTable() string {
	names := []string{"serve", "put, get, del, stats, bench", "put", "bench", "check"}
	text := "A flag wins over its variable, the variable over the default. Sizes take B, KiB, MiB, GiB (powers of 1024) and KB,\n" +
		"MB, GB (powers of 1000); durations are written like 1m30s or 250ms.\n"
	for i, s := range allSettings() {
		text += "\n## " + names[i] + "\n\n| option | variable | default | meaning |\n|---|---|---|---|\n"
		for j := range s.options {
			o := &s.options[j]
			flag := strings.TrimSpace("--" + o.name + " " + o.arg)
			text += fmt.Sprintf("| `%s` | %s | %s | %s |\n", flag, code(o.variable()), code(o.def), o.help)
		}
	}
	return text
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}
