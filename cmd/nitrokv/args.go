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
	front, rest := splitVerb(root, args)
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
		var err error
		if rest, err = splitOperands(cmd, rest); err != nil {
			return err
		}
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
func splitVerb(root *cobra.Command, args []string) (front, rest []string) {
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "-") {
			return args[:i:i], args[i:]
		}
		name, hasName := strings.CutPrefix(args[i], "--")
		if hasName && !strings.Contains(name, "=") && takesValue(root, name) {
			i++
		}
	}
	return args, nil
}

// takesValue reports whether any command has a flag of that name that takes a value.
func takesValue(root *cobra.Command, name string) bool {
	for _, c := range root.Commands() {
		if f := c.Flags().Lookup(name); f != nil {
			return f.NoOptDefVal == ""
		}
	}
	return false
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
	nearest, least := []string(nil), math.MaxInt
	for _, c := range root.Commands() {
		if !c.IsAvailableCommand() {
			continue
		}
		for _, name := range append([]string{c.Name()}, c.Aliases...) {
			d := distance(strings.ToLower(verb), name)
			if d < least {
				nearest, least = nil, d
			}
			if d == least {
				nearest = append(nearest, fmt.Sprintf("%q", name))
			}
		}
	}
	if least > 3 || least >= len(verb) || len(nearest) > 3 {
		return fmt.Errorf("unknown command %q; \"nitrokv help\" lists them all", verb)
	}
	return fmt.Errorf("unknown command %q; did you mean %s? \"nitrokv help\" lists them all", verb, strings.Join(nearest, " or "))
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
// reads like a long flag: then a typing error is more likely than a key of that name, and "--" says otherwise.
func splitOperands(cmd *cobra.Command, args []string) ([]string, error) {
	var flags, operands []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			operands = append(operands, args[i+1:]...)
			i = len(args)
		case arg == "-h":
			flags = append(flags, arg)
		case !looksLikeFlag(arg):
			operands = append(operands, arg)
		default:
			name, _, hasValue := strings.Cut(arg[2:], "=")
			f := lookupFlag(cmd, name)
			if f == nil {
				return nil, fmt.Errorf("%s: %s: no such option; write \"--\" in front of a key or value that begins with dashes", cmd.Name(), arg)
			}
			flags = append(flags, arg)
			if f.NoOptDefVal != "" || hasValue {
				continue
			}
			if i++; i == len(args) {
				return nil, fmt.Errorf("%s: %s needs a value; write %s %s", cmd.Name(), arg, arg, f.Value.Type())
			}
			flags = append(flags, args[i])
		}
	}
	return append(append(flags, "--"), operands...), nil
}

// looksLikeFlag reports whether arg is two dashes and a letter.
func looksLikeFlag(arg string) bool {
	return len(arg) > 2 && arg[:2] == "--" && (arg[2]|0x20 >= 'a' && arg[2]|0x20 <= 'z')
}

func lookupFlag(cmd *cobra.Command, name string) *pflag.Flag {
	cmd.InitDefaultHelpFlag()
	return cmd.Flags().Lookup(name)
}
