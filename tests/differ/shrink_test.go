package differ

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// shrink leaves out commands as long as the rest still shows the difference in the reply to the last one. It stops at the
// deadline with what it has.
func shrink(commands []command, shows func([]command) bool, until time.Time) []command {
	if related := relatives(commands); shows(related) {
		commands = related
	}
	for size := len(commands) / 2; size > 0; size /= 2 {
		for at := 0; at+size < len(commands); {
			if time.Now().After(until) {
				return commands
			}
			shorter := slices.Concat(commands[:at], commands[at+size:])
			if shows(shorter) {
				commands = shorter
			} else {
				at += size
			}
		}
	}
	return commands
}

// relatives are the commands that share a word with the last one, which for most differences are all that matter.
func relatives(commands []command) []command {
	last := commands[len(commands)-1].args
	var some []command
	for _, c := range commands {
		if slices.ContainsFunc(c.args[1:], func(word string) bool { return slices.Contains(last[1:], word) }) {
			some = append(some, c)
		}
	}
	if len(last) == 1 {
		some = append(some, commands[len(commands)-1])
	}
	return some
}

// A difference that needs two commands among a thousand is shown by these two.
func TestShrinkFindsTheTwoThatMatter(t *testing.T) {
	g := newGenerator(1, "2")
	var commands []command
	for len(commands) < 1000 {
		commands = append(commands, g.next()...)
	}
	first := command{args: []string{"SET", "cause", "1"}}
	commands[321] = first
	commands = append(commands, command{args: []string{"GET", "effect"}})
	tries := 0
	got := shrink(commands, func(c []command) bool {
		tries++
		return slices.ContainsFunc(c, func(c command) bool { return slices.Equal(c.args, first.args) })
	}, time.Now().Add(waitLimit))
	var names []string
	for _, c := range got {
		names = append(names, c.String())
	}
	if want := `"SET" "cause" "1"; "GET" "effect"`; strings.Join(names, "; ") != want {
		t.Errorf("%d tries have left %q, want %q", tries, names, want)
	}
}
