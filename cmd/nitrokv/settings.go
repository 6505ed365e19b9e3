package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// source says where a setting came from; a later one wins.
type source int

const (
	fromDefault source = iota
	fromFile
	fromVariable
	fromFlag
)

// A setting is what an option came to.
type setting struct {
	from   source
	where  string   // as the user would look for it: --dir, NITROKV_DIR, nitrokv.toml:3
	texts  []string // what stood there; several only if the option may be repeated
	beaten string   // the option that counts in place of this one; empty: this one counts
}

// label is how an error names the setting.
func (g *setting) label(o *option) string {
	if g.from == fromFile {
		return g.where + ": " + o.name
	}
	return g.where
}

// resolve gives every option the value of its strongest source: flag, variable, file, default.
func (s *settings) resolve(env []string) error {
	file, err := s.readFile(env)
	if err != nil {
		return err
	}
	s.found = make(map[string]setting)
	for i := range s.options {
		s.found[s.options[i].name] = s.strongest(i, env, file)
	}
	if err := s.settlePairs(); err != nil {
		return err
	}
	for i := range s.options {
		if err := s.store(&s.options[i]); err != nil {
			return err
		}
	}
	return nil
}

// strongest finds what counts for one option.
func (s *settings) strongest(i int, env []string, file configFile) setting {
	o := &s.options[i]
	if given := s.texts[i].given; len(given) > 0 {
		return setting{from: fromFlag, where: "--" + o.name, texts: given}
	}
	if text, ok := lookup(env, o.variable()); ok {
		return setting{from: fromVariable, where: o.variable(), texts: o.split(text)}
	}
	if entry, ok := file[o.name]; ok {
		return setting{from: fromFile, where: entry.where, texts: entry.texts}
	}
	return setting{from: fromDefault, where: "default", texts: o.split(o.def)}
}

// settlePairs decides between options that stand in for each other. Two of the same strength contradict each other.
func (s *settings) settlePairs() error {
	for i := range s.options {
		o := &s.options[i]
		if o.instead == "" {
			continue
		}
		mine, other := s.found[o.name], s.found[o.instead]
		switch {
		case mine.from > other.from:
			other.beaten = o.name
		case mine.from < other.from || mine.from == fromDefault:
			mine.beaten = o.instead
		default:
			return fmt.Errorf("%s and %s are both given, but only one of them can count; drop one", mine.label(o), other.label(s.option(o.instead)))
		}
		s.found[o.name], s.found[o.instead] = mine, other
	}
	return nil
}

// store parses what was found for an option. An option without a default stays as it is if nobody sets it.
func (s *settings) store(o *option) error {
	g := s.found[o.name]
	if g.beaten != "" || g.from == fromDefault && o.def == "" && o.arg != "" {
		return nil
	}
	if len(g.texts) == 0 {
		return fmt.Errorf("%s: names nothing; write at least one %s, or leave it out", g.label(o), o.arg)
	}
	for _, text := range g.texts {
		err := o.set(text)
		switch {
		case err != nil && o.secret:
			return fmt.Errorf("%s: %w", g.label(o), err)
		case err != nil:
			return fmt.Errorf("%s %q: %w", g.label(o), text, err)
		}
	}
	return nil
}

// option returns the option of that name; it must be there.
func (s *settings) option(name string) *option {
	return &s.options[slices.IndexFunc(s.options, func(o option) bool { return o.name == name })]
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
	for _, g := range allOptions() {
		for i := range g.options {
			known[g.options[i].variable()] = true
		}
	}
	for _, e := range t.env {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, envPrefix) && !known[name] && !injected(name) {
			fmt.Fprintf(t.stderr, "nitrokv: warning: %s is set, but there is no such setting; \"nitrokv options\" lists them\n", name)
		}
	}
}

// injected reports whether Kubernetes sets a variable of that name in every container beside a service called nitrokv:
// NITROKV_SERVICE_HOST, NITROKV_PORT=tcp://10.0.0.1:6379, NITROKV_PORT_6379_TCP_ADDR and so on. They are nobody's
// settings, and the reason why --port has no variable.
func injected(name string) bool {
	return strings.HasPrefix(name, envPrefix+"SERVICE_") || name == envPrefix+"PORT" || strings.HasPrefix(name, envPrefix+"PORT_")
}

// pathTo stores the name of a file.
func pathTo(dst *string) func(string) error {
	return func(text string) error {
		if text == "" {
			return errors.New("empty; name a file, or leave the option out")
		}
		*dst = text
		return nil
	}
}
