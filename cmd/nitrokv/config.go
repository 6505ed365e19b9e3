package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/BurntSushi/toml"
)

// The configuration file is TOML with one key for each option, named like it: flat, without tables. A command has one if
// it has the option configOption.

const configOption = "config"

// configMax bounds what is read of a file that may be anything.
const configMax = 1 << 20

// A configFile is what a configuration file sets, by key.
type configFile map[string]configEntry

// A configEntry is one line of it.
type configEntry struct {
	where string // file:line
	texts []string
}

// readFile reads the file that --config or its variable names. It returns nil if there is none.
func (s *settings) readFile(env []string) (configFile, error) {
	i := slices.IndexFunc(s.options, func(o option) bool { return o.name == configOption })
	if i < 0 {
		return nil, nil
	}
	named := s.strongest(i, env, nil)
	path := named.texts[len(named.texts)-1]
	if named.from == fromDefault || path == "" { // store refuses an empty name
		return nil, nil
	}
	text, err := readAtMost(path, configMax)
	if err != nil {
		return nil, fmt.Errorf("%s: read the configuration file: %w", named.where, err)
	}
	return s.parseFile(path, text)
}

// readAtMost reads a file that is not larger than limit.
func readAtMost(path string, limit int64) (text []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return text, err
}

// parseFile reads the keys. Only the texts of the values are looked at here; resolve parses them if they count.
func (s *settings) parseFile(path string, text []byte) (configFile, error) {
	var raw map[string]toml.Primitive
	meta, err := toml.Decode(string(text), &raw)
	if err != nil {
		return nil, s.syntaxError(path, text, err)
	}
	file := make(configFile)
	for _, key := range meta.Keys() {
		name := key[0]
		if _, seen := file[name]; seen {
			continue
		}
		value, line, err := locate(&meta, raw, key)
		if err != nil {
			return nil, s.syntaxError(path, text, err)
		}
		where := fmt.Sprintf("%s:%d", pathText(path), line)
		if err := s.checkKey(key, value); err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		texts, err := s.option(name).tomlTexts(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", where, name, err)
		}
		file[name] = configEntry{where, texts}
	}
	return file, nil
}

// syntaxError names the file and the line of what is no TOML. The library's words quote the line, so they are dropped where
// that may be a secret, which has no place in the file however it is written.
func (s *settings) syntaxError(path string, text []byte, err error) error {
	var at toml.ParseError
	if errors.As(err, &at) {
		// A value may take several lines, of which only the first has the key; and a line may be wrong before its key ends.
		if o := s.secretIn(lineAt(string(text), at.Position.Line) + " " + at.LastKey); o != nil {
			return fmt.Errorf("%s:%d: not TOML: %w", pathText(path), at.Position.Line, o.checkKey())
		}
		return fmt.Errorf("%s:%d: not TOML: %s", pathText(path), at.Position.Line, at.Message)
	}
	return fmt.Errorf("%s: not TOML: %w", pathText(path), err)
}

// secretIn returns the secret that a text names, by its key or its variable, or nil. It looks at the words alone: what is no
// TOML can have its key anywhere.
func (s *settings) secretIn(text string) *option {
	words := strings.FieldsFunc(text, func(r rune) bool {
		return r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	for i := range s.options {
		o := &s.options[i]
		if o.secret && slices.ContainsFunc(words, func(w string) bool {
			return strings.EqualFold(w, o.name) || strings.EqualFold(w, o.variable())
		}) {
			return o
		}
	}
	return nil
}

// lineAt returns a line of a text, counted from 1, or nothing if there is none.
func lineAt(text string, line int) string {
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	return lines[line-1]
}

// locate returns the value of a key and its line. The library tells lines in its errors alone, so the value causes one.
func locate(meta *toml.MetaData, raw map[string]toml.Primitive, key toml.Key) (value any, line int, err error) {
	for _, table := range key[:len(key)-1] {
		var inner map[string]toml.Primitive
		if err := meta.PrimitiveDecode(raw[table], &inner); err != nil {
			return nil, 0, err
		}
		raw = inner
	}
	var l located
	var at toml.ParseError
	if err := meta.PrimitiveDecode(raw[key[len(key)-1]], &l); !errors.As(err, &at) || !l.reached {
		return nil, 0, fmt.Errorf("find the line of %s: %w", key, err)
	}
	return l.value, at.Position.Line, nil
}

// located takes any value, and complains.
type located struct {
	value   any
	reached bool
}

func (l *located) UnmarshalTOML(value any) error {
	l.value, l.reached = value, true
	return errors.New("located")
}

// checkKey refuses what is no setting, and suggests what may have been meant.
func (s *settings) checkKey(key toml.Key, value any) error {
	if isTable(key, value) {
		return fmt.Errorf("%s: settings stand in no table; write each as a line of its own, such as max-clients = 100", key)
	}
	var names []string
	for i := range s.options {
		o := &s.options[i]
		if o.name == key[0] {
			return o.checkKey()
		}
		if o.hasKey() {
			names = append(names, o.name)
		}
	}
	if near := nearest(key[0], names); len(near) > 0 {
		return fmt.Errorf("%s: unknown key; did you mean %s?", key, strings.Join(near, " or "))
	}
	return fmt.Errorf("%s: unknown key; \"nitrokv options\" lists them", key)
}

func isTable(key toml.Key, value any) bool {
	switch value.(type) {
	case map[string]any, []map[string]any:
		return true
	}
	return len(key) > 1
}

// checkKey refuses an option that has no place in a file.
func (o *option) checkKey() error {
	switch {
	case o.secret:
		return fmt.Errorf("%s: a secret doesn't stand in this file; name a file of its own with %s, or set %s", o.name, o.instead, o.variable())
	case !o.hasKey():
		return fmt.Errorf("%s: can't be set in a file; write --%s on the command line", o.name, o.name)
	}
	return nil
}

// tomlTexts returns the texts that stand for a value, as they would be typed.
func (o *option) tomlTexts(value any) ([]string, error) {
	list, isList := value.([]any)
	if !isList {
		text, err := tomlText(value)
		return o.split(text), err
	}
	if !o.many {
		return nil, fmt.Errorf("a list, but only one value can be set; write %s = %q", o.name, o.example())
	}
	texts := make([]string, len(list))
	for i, v := range list {
		var err error
		if texts[i], err = tomlText(v); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// example is a value that the option might have.
func (o *option) example() string {
	if o.def != "" {
		return o.def
	}
	return o.arg
}

// tomlText returns the text that stands for one value.
func tomlText(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return "", errors.New("neither text nor a number, true or false; times, tables and lists of lists are no settings")
}

// pathText is a path as it can stand in one line.
func pathText(path string) string {
	if quoted := strconv.Quote(path); quoted != `"`+path+`"` {
		return quoted
	}
	return path
}
