package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// prepare hands cobra the command line in the form that it understands: the verb first and in lower case, and behind a
// "--" what would look like a flag but is a key or a value. It refuses verbs that don't exist.
func prepare(root *cobra.Command, args []string) error {
	front, rest, err := splitVerb(root, args)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		root.SetArgs(front)
		return nil
	}
	verb := rest[0]
	if strings.HasPrefix(verb, "__complete") { // the shells' completion scripts ask this way
		root.SetArgs(args)
		return nil
	}
	cmd := findVerb(root, verb)
	if cmd == nil {
		return unknownVerb(root, verb)
	}
	rest = append(front, rest[1:]...)
	if cmd.Annotations[annotationOperands] != "" {
		rest, err = splitOperands(cmd, rest)
	} else {
		err = checkFlags(cmd, rest)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", cmd.Name(), err)
	}
	if cmd.Name() == "help" && len(rest) > 0 {
		if findVerb(root, rest[0]) == nil {
			return unknownVerb(root, rest[0])
		}
		rest[0] = strings.ToLower(rest[0])
	}
	root.SetArgs(append([]string{cmd.Name()}, rest...))
	return nil
}

// splitVerb cuts args in front of the verb: flags of the verb may come before it.
func splitVerb(root *cobra.Command, args []string) (front, rest []string, err error) {
	known := func(name string) bool { return anyFlag(root, name) != nil }
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "-") {
			return args[:i:i], args[i:], nil
		}
		if err := checkSpelling(args[i], known); err != nil {
			return nil, nil, err
		}
		name, isLong := strings.CutPrefix(args[i], "--")
		if f := anyFlag(root, name); isLong && f != nil && f.NoOptDefVal == "" {
			i++
		}
	}
	return args, nil, nil
}

// anyFlag returns the flag of that name of any command, or nil.
func anyFlag(root *cobra.Command, name string) *pflag.Flag {
	root.InitDefaultVersionFlag()
	if f := lookupFlag(root, name); f != nil {
		return f
	}
	for _, c := range root.Commands() {
		if f := c.Flags().Lookup(name); f != nil {
			return f
		}
	}
	return nil
}

// checkFlags refuses what pflag would describe in terms of its own, of a command whose operands begin with no dash.
func checkFlags(cmd *cobra.Command, args []string) error {
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		if err := checkSpelling(args[i], func(name string) bool { return lookupFlag(cmd, name) != nil }); err != nil {
			return err
		}
		name, isLong := strings.CutPrefix(args[i], "--")
		if f := lookupFlag(cmd, name); isLong && f != nil && f.NoOptDefVal == "" {
			i++
		}
	}
	return nil
}

// checkSpelling refuses an argument that is almost an option: a long one with a single dash, which pflag takes for a row
// of short ones, and a secret, which mustn't stand in a command line. What stands behind the name isn't repeated.
func checkSpelling(arg string, known func(name string) bool) error {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	if !strings.HasPrefix(arg, "-") || len(name) < 2 {
		return nil
	}
	if o := findSecret(name); o != nil {
		return fmt.Errorf("there is no --%s: everybody on this machine can see what is typed in a command line; name a file with --%s, or set %s",
			o.name, o.instead, o.variable())
	}
	if !strings.HasPrefix(arg, "--") && known(name) {
		return fmt.Errorf("unknown option -%s; write --%s", name, name)
	}
	return nil
}

// findSecret returns the secret of that name of any command, or nil.
func findSecret(name string) *option {
	for _, g := range allOptions() {
		for i := range g.options {
			if o := &g.options[i]; o.secret && o.name == name {
				return o
			}
		}
	}
	return nil
}

// findVerb returns the command with that name or alias in any case, or nil.
func findVerb(root *cobra.Command, verb string) *cobra.Command {
	verb = strings.ToLower(verb)
	for _, c := range root.Commands() {
		if c.Name() == verb || c.HasAlias(verb) {
			return c
		}
	}
	return nil
}

// unknownVerb suggests the verbs that are spelled most like the one that was typed.
func unknownVerb(root *cobra.Command, verb string) error {
	var verbs []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			verbs = append(append(verbs, c.Name()), c.Aliases...)
		}
	}
	near := nearest(strings.ToLower(verb), verbs)
	if len(near) == 0 {
		return fmt.Errorf("unknown command %q; \"nitrokv help\" lists them all", verb)
	}
	return fmt.Errorf("unknown command %q; did you mean \"%s\"? \"nitrokv help\" lists them all", verb, strings.Join(near, `" or "`))
}

// unknownOption suggests the options that are spelled most like the one that was typed.
func unknownOption(cmd *cobra.Command, typed string) error {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	near := nearest(strings.TrimLeft(typed, "-"), names)
	if len(near) == 0 {
		return fmt.Errorf("unknown option %s", typed)
	}
	return fmt.Errorf("unknown option %s (did you mean --%s?)", typed, strings.Join(near, " or --"))
}

// farthest is the distance beyond which a word is not a misspelling of another.
const farthest = 3

// nearest returns the words that are spelled most like one, or nil if none or too many are.
func nearest(word string, among []string) []string {
	near, least := []string(nil), math.MaxInt
	for _, other := range among {
		if max(len(word)-len(other), len(other)-len(word)) > farthest {
			continue // so is the distance; a word may be very long
		}
		d := distance(word, other)
		if d < least {
			near, least = nil, d
		}
		if d == least {
			near = append(near, other)
		}
	}
	if least > farthest || least >= len(word) || len(near) > 3 {
		return nil
	}
	return near
}

// distance counts the letters that must be inserted, removed, replaced or swapped with their neighbour to make b of a.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// annotationOperands marks commands whose operands are any bytes, so that "put k -5" stores -5.
const annotationOperands = "operands"

// splitOperands puts the flags in front and the operands behind a "--". An operand may begin with a dash, unless it
// reads like a long flag, or is one but for a dash: then a typing error is more likely than a key of that name, and "--"
// says otherwise.
func splitOperands(cmd *cobra.Command, args []string) ([]string, error) {
	var flags, operands []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			operands = append(operands, args[i+1:]...)
			break
		}
		if err := checkSpelling(arg, func(name string) bool { return lookupFlag(cmd, name) != nil }); err != nil {
			return nil, fmt.Errorf("%w; %s", err, dashesHint)
		}
		if arg == "-h" {
			flags = append(flags, arg)
			continue
		}
		if !looksLikeFlag(arg) {
			operands = append(operands, arg)
			continue
		}
		name, _, hasValue := strings.Cut(arg[2:], "=")
		f := lookupFlag(cmd, name)
		if f == nil {
			return nil, fmt.Errorf("%w; %s", unknownOption(cmd, "--"+name), dashesHint)
		}
		flags = append(flags, arg)
		if f.NoOptDefVal != "" || hasValue {
			continue
		}
		if i++; i == len(args) {
			return nil, fmt.Errorf("%s needs a value; write %s %s", arg, arg, f.Value.Type())
		}
		flags = append(flags, args[i])
	}
	return append(append(flags, "--"), operands...), nil
}

const dashesHint = `a key or value that looks like an option needs a "--" in front of it`

// looksLikeFlag reports whether arg is two dashes and a letter.
func looksLikeFlag(arg string) bool {
	return len(arg) > 2 && arg[:2] == "--" && (arg[2]|0x20 >= 'a' && arg[2]|0x20 <= 'z')
}

func lookupFlag(cmd *cobra.Command, name string) *pflag.Flag {
	cmd.InitDefaultHelpFlag()
	return cmd.Flags().Lookup(name)
}
