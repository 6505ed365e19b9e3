package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"github.com/nitrokv/nitrokv/engine"
)

// commentWidth is the length of a comment line in a printed configuration.
const commentWidth = 100

// printConfig writes what resolve has found as a configuration file. A file that says the same comes out of it: what
// doesn't count, isn't set or must not be seen stands in comments.
func (s *settings) printConfig(w io.Writer) error {
	text := fmt.Sprintf(`# Configuration of nitrokv %s, for "nitrokv serve --config FILE" or NITROKV_CONFIG=FILE.
# Behind each value stands where it came from. A flag wins over a variable, a variable over the file,
# the file over the default.
`, engine.Version)
	for i := range s.options {
		o := &s.options[i]
		if !o.hasKey() && !o.secret {
			continue
		}
		line, err := s.configLine(o)
		if err != nil {
			return err
		}
		text += "\n" + comment(o.help) + line + "\n"
	}
	return writeAll(w, []byte(text))
}

// configLine is the line that sets an option, with its source behind it.
func (s *settings) configLine(o *option) (string, error) {
	g := s.found[o.name]
	if o.secret {
		return "# " + o.variable() + secretState(&g), nil
	}
	line, err := o.assignment(g.texts)
	if err != nil {
		return "", fmt.Errorf("%s: %w", g.label(o), err)
	}
	switch {
	case g.from == fromDefault && o.def == "" && o.arg != "":
		return "# " + line + " # not set", nil
	case g.beaten != "":
		return fmt.Sprintf("# %s # %s; %s is used in its place", line, g.where, g.beaten), nil
	}
	return line + " # " + g.where, nil
}

// secretState says of a secret no more than whether there is one.
func secretState(g *setting) string {
	switch {
	case g.from == fromDefault:
		return ": not set"
	case g.beaten != "":
		return fmt.Sprintf(": (hidden); %s is used in its place", g.beaten)
	}
	return ": (hidden)"
}

// assignment is an option with its value in TOML.
func (o *option) assignment(texts []string) (string, error) {
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return "", fmt.Errorf("%q is not UTF-8, so it can't stand in a configuration file", text)
		}
	}
	var value any = texts
	if !o.many {
		value = o.tomlValue(texts[len(texts)-1])
	}
	line, err := toml.Marshal(map[string]any{o.name: value})
	if err != nil {
		return "", fmt.Errorf("write %s in TOML: %w", o.name, err)
	}
	return strings.TrimSuffix(string(line), "\n"), nil
}

// tomlValue is a text as TOML's nearest type: a switch is true or false, a number a number, the rest text.
func (o *option) tomlValue(text string) any {
	if b, err := strconv.ParseBool(text); err == nil && o.arg == "" {
		return b
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && o.arg == "N" {
		return n
	}
	return text
}

// comment breaks a text into comment lines.
func comment(text string) string {
	out, line := "", "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > commentWidth {
			out += line + "\n"
			line = "#"
		}
		line += " " + word
	}
	return out + line + "\n"
}
