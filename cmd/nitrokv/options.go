package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// An option is one setting of one or more commands. The flag, the variable, the key in the configuration file, --help
// and "nitrokv options" are all made from it.
type option struct {
	name string // of the flag, and the key in the file
	arg  string // what stands for the value in the help; empty: a switch
	def  string // as it would be typed; empty: not set
	help string
	many bool // may be repeated; in a variable separated by commas

	// The sources that the option doesn't have.
	flag       bool // neither variable nor key: the setting belongs to one command line
	noVariable bool // the name of the variable is used for something else
	noKey      bool // it makes no sense in a file
	secret     bool // neither flag nor key: others could read it there; it is never printed

	// instead names the option of the same command that this one stands in for: the stronger source of the two counts,
	// the other option is not set.
	instead string

	set func(text string) error // parses and stores; its error says why and what to do
}

const envPrefix = "NITROKV_"

// variable returns the name of the option's environment variable, or "".
func (o *option) variable() string {
	if o.flag || o.noVariable {
		return ""
	}
	return envPrefix + strings.ToUpper(strings.ReplaceAll(o.name, "-", "_"))
}

// hasFlag reports whether the option can be typed.
func (o *option) hasFlag() bool { return !o.secret }

// hasKey reports whether the option can stand in a configuration file, for a command that reads one.
func (o *option) hasKey() bool { return !o.flag && !o.noKey && !o.secret }

// usage is how the option is typed; a secret has only its variable.
func (o *option) usage() string {
	if !o.hasFlag() {
		return o.variable()
	}
	return strings.TrimSpace("--" + o.name + " " + o.arg)
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

// settings are the options of one command, and what they came to.
type settings struct {
	options []option
	texts   []texts
	found   map[string]setting // by option, after resolve
}

// attach makes the command's flags.
func (s *settings) attach(c *cobra.Command) {
	s.texts = make([]texts, len(s.options))
	for i := range s.options {
		o := &s.options[i]
		s.texts[i].option = o
		if !o.hasFlag() {
			continue
		}
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

// describe is the option's text in the help, with default and variable.
func (o *option) describe() string {
	text := o.help
	if o.def != "" && o.arg != "" {
		text += " (default " + o.def + ")"
	}
	if v := o.variable(); v != "" && o.hasFlag() {
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
	var rows [][2]string
	for i := range s.options {
		rows = append(rows, [2]string{s.options[i].usage(), s.options[i].describe()})
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if _, ours := f.Value.(*texts); !ours {
			rows = append(rows, [2]string{"--" + f.Name, f.Usage})
		}
	})
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	text += "\nOptions:\n"
	for _, r := range rows {
		text += fmt.Sprintf("  %-*s  %s\n", width, r[0], r[1])
	}
	return text
}

// namesOf are the names of options.
func namesOf(options []option) []string {
	names := make([]string, len(options))
	for i := range options {
		names[i] = options[i].name
	}
	return names
}

// A group is the options of a command, or those that several commands share, as lists show them.
type group struct {
	commands string
	options  []option
}

// allOptions are the options of all commands, serve's first.
func allOptions() []group {
	var serve serveConfig
	var kv kvConfig
	var cli cliConfig
	var put putConfig
	var scan scanConfig
	var load loadConfig
	var bench benchConfig
	var check checkConfig
	var backup backupConfig
	var restore restoreConfig
	var convert convertConfig
	return []group{
		{"serve", serve.options()},
		{"cli, put, get, del, incr, ttl, expire, scan, stats, load, dump, merge", kv.options()},
		{"backup, bench", kv.serverOptions()},
		{"cli", cli.options()},
		{"put", put.options()},
		{"scan", scan.options()},
		{"load", load.options()},
		{"backup", backup.options()},
		{"restore", restore.options()},
		{"convert", convert.options()},
		{"bench", bench.options()},
		{"check", check.options()},
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
	groups := allOptions()
	var keyless []string
	for i := range groups[0].options {
		if o := &groups[0].options[i]; !o.hasKey() {
			keyless = append(keyless, o.name)
		}
	}
	text := "A flag wins over its variable, the variable over the configuration file, the file over the default. An empty variable\n" +
		"counts as not set. The file is TOML, named by --config or NITROKV_CONFIG; its keys are the names of serve's options\n" +
		"but for " + strings.Join(keyless, ", ") + ". Sizes take B, KiB, MiB, GiB (powers of 1024) and KB, MB, GB (powers of\n" +
		"1000); durations are written like 1m30s or 250ms.\n"
	for _, g := range groups {
		text += "\n## " + g.commands + "\n\n| option | variable | default | meaning |\n|---|---|---|---|\n"
		for i := range g.options {
			o := &g.options[i]
			flag := ""
			if o.hasFlag() {
				flag = o.usage()
			}
			text += fmt.Sprintf("| %s | %s | %s | %s |\n", code(flag), code(o.variable()), code(o.def), o.help)
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
